"""The HTTP side of the live page."""

import contextlib
import http
import io
import json
import logging
import socket
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from segfast_edge.contract.theme import THEME
from segfast_edge.errors import DataError
from targets.runner.telemetry import Telemetry
from targets.runner.web import prometheus
from targets.runner.web.access import COOKIE, Access
from targets.runner.web.connections import Door
from targets.runner.web.feed import Feed

log = logging.getLogger("segfast.runner")

MAX_ANSWERS, MAX_STREAMS, MAX_HEALTH = 16, 8, 4
ANSWER_S = 10.0  # to take an answer, or a frame of the stream
STREAM_FPS = 15.0
_BOUNDARY = "segfast-frame"
_HERE = Path(__file__).parent
_FILES = {
    "/": (_HERE / "page.html", "text/html; charset=utf-8"),
    "/theme.css": (THEME, "text/css; charset=utf-8"),
    "/page.css": (_HERE / "page.css", "text/css; charset=utf-8"),
    "/page.js": (_HERE / "page.js", "text/javascript; charset=utf-8"),
}
_SECURITY = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; connect-src 'self'; style-src 'self'; "
    "script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class PageServer:
    """Listens from the moment it is made, and answers in threads of its own, of which there are few.

    ``MAX_STREAMS`` of them may show the stream and ``MAX_ANSWERS`` answer anything else; ``/healthz`` has
    ``MAX_HEALTH`` more for itself.
    """

    def __init__(self, address: tuple[str, int], telemetry: Telemetry, feed: Feed, *, token: str | None) -> None:
        self.telemetry = telemetry
        self.feed = feed
        self.access = Access(token)
        self._places = threading.BoundedSemaphore(MAX_ANSWERS)
        self._health_places = threading.BoundedSemaphore(MAX_HEALTH)
        self._stream_places = threading.BoundedSemaphore(MAX_STREAMS)
        family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        try:
            listener = socket.create_server(address, family=family, backlog=128)
        except OSError as error:
            raise DataError(f"cannot listen on {address[0]}:{address[1]}: {error.strerror or error}") from error
        self.port = int(listener.getsockname()[1])
        self.door = Door(listener, self._arrived)
        log.info("live page at http://%s:%d/", address[0], self.port)

    def close(self) -> None:
        """Stop listening; answers under way end within a moment."""
        self.door.close()

    def _arrived(self, connection: socket.socket, request: bytes) -> None:
        place = self._place(request)
        if place is None:
            with contextlib.suppress(OSError), connection:  # it is not blocking, and this fits
                connection.send(b"HTTP/1.0 503 Service Unavailable\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n")
            return
        threading.Thread(target=self._answer, args=(connection, request, place), name="answer", daemon=True).start()

    def _place(self, request: bytes) -> threading.Semaphore | None:
        """Take a place for a request; None if there is none."""
        path = request.split(maxsplit=2)[1:2]
        if path and path[0].startswith(b"/stream.mjpg"):
            return self._stream_places if self._stream_places.acquire(blocking=False) else None
        if self._places.acquire(blocking=False):
            return self._places
        health = path and path[0].partition(b"?")[0] == b"/healthz"
        return self._health_places if health and self._health_places.acquire(blocking=False) else None

    def _answer(self, connection: socket.socket, request: bytes, place: threading.Semaphore) -> None:
        try:
            with connection:
                _Handler(connection, request, self)
                connection.shutdown(socket.SHUT_WR)
        except OSError as error:
            log.debug("answering failed: %s", error)
        finally:
            place.release()


class _Deadline(io.RawIOBase):
    """Writes to a connection; whoever takes an answer, or a frame of the stream, too slowly is let go."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.renew()

    def renew(self) -> None:
        """Allow the time for one answer from now on."""
        self._until_s = time.monotonic() + ANSWER_S

    def write(self, data: Any, /) -> int:
        """Write all of it."""
        view = memoryview(data)
        while view:
            left_s = self._until_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError("the client reads too slowly")
            self._connection.settimeout(left_s)
            view = view[self._connection.send(view) :]
        return len(data)


class _Handler(BaseHTTPRequestHandler):
    """Answers one request, which has come as a whole."""

    server: PageServer  # type: ignore[assignment]
    server_version = "segfast-edge"
    sys_version = ""

    def __init__(self, connection: socket.socket, request: bytes, server: PageServer) -> None:
        self._request = request
        super().__init__(connection, ("", 0), server)  # type: ignore[arg-type]

    def setup(self) -> None:
        """Read from the request that has come, and write with a deadline."""
        self.rfile = io.BufferedReader(io.BytesIO(self._request))
        self._deadline = _Deadline(self.request)
        self.wfile = self._deadline  # type: ignore[assignment]

    def finish(self) -> None:
        """Do nothing: whoever made the connection closes it."""

    def do_GET(self) -> None:
        """Authenticate the client, then answer its request."""
        try:
            address = urlsplit(self.path)
        except ValueError:
            self._send(http.HTTPStatus.BAD_REQUEST, b"no such address\n", "text/plain")
            return
        entry = self.server.access.admit(self.headers, address.query)
        if entry.refusal is not None:
            self._send(entry.refusal, b"not allowed\n", "text/plain")
            return
        if entry.cookie is not None:
            self._redirect_with(entry.cookie, address.path)
            return
        routes: dict[str, Callable[[], None]] = {
            "/status.json": self._status,
            "/history.json": self._history,
            "/metrics": self._metrics,
            "/healthz": self._healthz,
            "/stream.mjpg": self._stream,
        }
        if address.path in _FILES:
            path, kind = _FILES[address.path]
            self._send(http.HTTPStatus.OK, path.read_bytes(), kind)
        elif address.path in routes:
            routes[address.path]()
        else:
            self._send(http.HTTPStatus.NOT_FOUND, b"no such page\n", "text/plain")

    def do_HEAD(self) -> None:
        """Answer with the headers alone."""
        self.do_GET()

    def _send(self, status: http.HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        self._common({"Content-Type": kind, "Content-Length": str(len(body))})
        if self.command != "HEAD":
            self.wfile.write(body)

    def _common(self, headers: dict[str, str]) -> None:
        for key, value in {**headers, **_SECURITY}.items():
            self.send_header(key, value)
        self.end_headers()

    def _redirect_with(self, cookie: str, path: str) -> None:
        """Put the token into a cookie and take it out of the address, where history and logs would keep it."""
        target = path if path in _FILES else "/"
        self.send_response(http.HTTPStatus.SEE_OTHER)
        self._common({
            "Location": target,
            "Set-Cookie": f"{COOKIE}={cookie}; HttpOnly; SameSite=Strict; Path=/",
            "Content-Length": "0",
        })  # fmt: skip

    def _json(self, value: Any, status: http.HTTPStatus = http.HTTPStatus.OK) -> None:
        self._send(status, json.dumps(value).encode(), "application/json")

    def _status(self) -> None:
        last = self.server.telemetry.last
        classes = None if last is None else last.classes.to_json()
        self._json({**self.server.telemetry.status(), "classes": classes})

    def _history(self) -> None:
        points = self.server.telemetry.points()
        self._json([[p.at_ns // 1_000_000, round(p.age_ms, 2), round(p.latency_ms, 2), int(p.late)] for p in points])

    def _metrics(self) -> None:
        self._send(
            http.HTTPStatus.OK,
            prometheus.exposition(self.server.telemetry).encode("utf-8", "backslashreplace"),
            prometheus.CONTENT_TYPE,
        )

    def _healthz(self) -> None:
        status = self.server.telemetry.status()
        well = status["state"] == "running"
        troubles = {name: each["trouble"] for name, each in status["outputs"].items() if each["trouble"]}
        answer = {"state": status["state"], "reason": status["reason"], "outputs": troubles}
        self._json(answer, http.HTTPStatus.OK if well else http.HTTPStatus.SERVICE_UNAVAILABLE)

    def _stream(self) -> None:
        self.send_response(http.HTTPStatus.OK)
        self._common({"Content-Type": f"multipart/x-mixed-replace; boundary={_BOUNDARY}"})
        if self.command == "HEAD":
            return
        with self.server.feed.watching():
            self._send_frames(self.server.feed)

    def _send_frames(self, feed: Feed) -> None:
        version, pause = 0, threading.Event()
        while not feed.closed:
            item = feed.next(version, 1.0)
            if item is None:
                continue
            version, data = item
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(data)}\r\n\r\n"
            self._deadline.renew()
            self.wfile.write(head.encode() + data + b"\r\n")
            pause.wait(1 / STREAM_FPS)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the method it replaces
        """Keep requests out of the service's log unless it is asked to be talkative."""
        log.debug(format, *args)
