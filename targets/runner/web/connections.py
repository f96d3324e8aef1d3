"""Connections up to the end of their request, in one thread: whoever sends slowly costs a few bytes and no thread."""

import contextlib
import logging
import selectors
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

log = logging.getLogger("segfast.runner")

REQUEST_S = 5.0  # to send a whole request, however it trickles
MAX_WAITING = 256  # whoever has waited longest makes room for the next
MAX_REQUEST = 16 << 10  # bytes
_LOOK_S = 0.2

Arrived = Callable[[socket.socket, bytes], None]


@dataclass(slots=True)
class _Visitor:
    connection: socket.socket
    until_s: float
    request: bytearray = field(default_factory=bytearray)

    @property
    def whole(self) -> bool:
        """Whether the request has come to its end, which is that of its head: nothing here takes a body."""
        return b"\r\n\r\n" in self.request or b"\n\n" in self.request


class Door:
    """Listens at ``listener`` and hands each connection over with its whole request; closes it in time otherwise."""

    def __init__(self, listener: socket.socket, arrived: Arrived) -> None:
        self._listener = listener
        self._arrived = arrived
        self._waiting: dict[socket.socket, _Visitor] = {}
        self._selector = selectors.DefaultSelector()
        self._closed = threading.Event()
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="web", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many connections have not sent a whole request yet."""
        return len(self._waiting)

    def close(self) -> None:
        """Stop listening."""
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        try:
            while not self._closed.is_set():
                for key, _ in self._selector.select(_LOOK_S):
                    if key.fileobj is self._listener:
                        self._accept()
                    else:
                        self._read(self._waiting[key.fileobj])  # type: ignore[index]
                self._give_up_on_the_late()
        finally:
            for visitor in list(self._waiting.values()):
                self._dismiss(visitor)
            self._selector.close()
            self._listener.close()

    def _accept(self) -> None:
        try:
            connection, _ = self._listener.accept()
        except OSError as error:  # it is gone already, or this process has too many files open
            log.debug("no connection: %s", error)
            self._closed.wait(0.01)
            return
        if len(self._waiting) >= MAX_WAITING:
            self._dismiss(next(iter(self._waiting.values())))
        connection.setblocking(False)
        self._waiting[connection] = _Visitor(connection, time.monotonic() + REQUEST_S)
        self._selector.register(connection, selectors.EVENT_READ)

    def _read(self, visitor: _Visitor) -> None:
        try:
            data = visitor.connection.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        visitor.request += data
        if not data or len(visitor.request) > MAX_REQUEST:
            self._dismiss(visitor)
        elif visitor.whole:
            self._forget(visitor)
            self._arrived(visitor.connection, bytes(visitor.request))

    def _give_up_on_the_late(self) -> None:
        now_s = time.monotonic()
        for visitor in list(self._waiting.values()):  # in the order in which they came
            if visitor.until_s > now_s:
                return
            self._dismiss(visitor)

    def _dismiss(self, visitor: _Visitor) -> None:
        self._forget(visitor)
        with contextlib.suppress(OSError):
            visitor.connection.close()

    def _forget(self, visitor: _Visitor) -> None:
        del self._waiting[visitor.connection]
        self._selector.unregister(visitor.connection)
