"""Telling systemd how the service is, over its socket (``sd_notify`` protocol), without any library."""

import logging
import os
import socket
import time
from collections.abc import Mapping

from segfast_edge.errors import printable

log = logging.getLogger("segfast.runner")


class Notifier:
    """Sends nothing if the process was not started by systemd with ``Type=notify``."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._socket: socket.socket | None = None
        address = environment.get("NOTIFY_SOCKET", "")
        if address.startswith(("/", "@")):
            self._address = "\0" + address[1:] if address.startswith("@") else address
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._socket.setblocking(False)  # a full queue must not stop the runner
        self._period_s = _watchdog_period_s(environment)
        self._next_beat = 0.0

    def _send(self, text: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(text.encode(), self._address)
        except OSError as error:
            log.debug("systemd refused '%s': %s", text, error)

    def starting(self, patience_s: float) -> None:
        """Ask for this much time until ``ready``, from now, in place of what the unit allows."""
        self._send(f"EXTEND_TIMEOUT_USEC={round(patience_s * 1e6)}")

    def ready(self) -> None:
        """Say that the service is up."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Report that SIGHUP was received; ``ready`` follows."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def status(self, text: str) -> None:
        """Set the line that ``systemctl status`` shows."""
        self._send("STATUS=" + printable(text))

    def stopping(self) -> None:
        """Say that the service is on its way down."""
        self._send("STOPPING=1")

    def beat(self) -> None:
        """Feed the watchdog, at a third of its period; systemd kills and restarts a service that stops doing so."""
        if self._period_s is not None and time.monotonic() >= self._next_beat:
            self._next_beat = time.monotonic() + self._period_s / 3
            self._send("WATCHDOG=1")

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _watchdog_period_s(environment: Mapping[str, str]) -> float | None:
    text, owner = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if not text.isdigit() or (owner and owner != str(os.getpid())):
        return None
    return int(text) / 1e6 or None
