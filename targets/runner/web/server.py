"""The HTTP side of the live page."""

import http
import json
import logging
import socket
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from segfast_edge.errors import DataError
from targets.runner.telemetry import Telemetry
from targets.runner.web import prometheus
from targets.runner.web.access import COOKIE, Access
from targets.runner.web.feed import Feed

log = logging.getLogger("segfast.runner")

MAX_CONNECTIONS = 24
PATIENCE_S = 10.0  # to send a request, and to take each piece of an answer
STREAM_FPS = 15.0
_BOUNDARY = "segfast-frame"
_FILES = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
}
_SECURITY = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; connect-src 'self'; style-src 'self'; "
    "script-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class PageServer:
    """Listens from the moment it is made, in threads of its own, for at most ``MAX_CONNECTIONS`` at a time."""

    def __init__(self, address: tuple[str, int], telemetry: Telemetry, feed: Feed, *, token: str | None) -> None:
        try:
            self._server = _Server(address, telemetry, feed, Access(token))
        except OSError as error:
            raise DataError(f"cannot listen on {address[0]}:{address[1]}: {error.strerror or error}") from error
        self.port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, name="web", args=(0.2,), daemon=True).start()
        log.info("live page at http://%s:%d/", address[0], self.port)

    def close(self) -> None:
        """Stop listening; answers under way end within a moment."""
        self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def __init__(self, address: tuple[str, int], telemetry: Telemetry, feed: Feed, access: Access) -> None:
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self.telemetry = telemetry
        self.feed = feed
        self.access = access
        self.places = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if self.places.acquire(blocking=False):
            super().process_request(request, client_address)
        else:
            request.close()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self.places.release()

    def handle_error(self, _: Any, client_address: Any) -> None:
        log.debug("answering %s failed", client_address, exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = PATIENCE_S
    server_version = "segfast-edge"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer a request, once the one who asks has been let in."""
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
            name, kind = _FILES[address.path]
            self._send(http.HTTPStatus.OK, (Path(__file__).parent / name).read_bytes(), kind)
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
            self.wfile.write(head.encode() + data + b"\r\n")
            pause.wait(1 / STREAM_FPS)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name of the method it replaces
        """Keep requests out of the service's log unless it is asked to be talkative."""
        log.debug("%s: " + format, self.address_string(), *args)
