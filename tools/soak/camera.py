"""A network camera on this machine that can be made to misbehave: MJPEG over HTTP, standard library only."""

import contextlib
import http.server
import socket
import threading
import time
from collections.abc import Sequence

BOUNDARY = "camera"
FAULTS = ("stall", "corrupt", "cut", "empty", "lying", "noise", "unsized")


class Camera:
    """Sends ``frames`` (JPEG) in turn at ``fps`` to whoever asks, until it is unplugged.

    ``fault`` changes what the next parts are: nothing at all (``stall``), bytes that are no JPEG (``corrupt``), half
    a JPEG (``cut``), no bytes (``empty``), a Content-Length that is too long (``lying``), noise between parts
    (``noise``), no Content-Length (``unsized``).
    """

    def __init__(self, frames: Sequence[bytes], fps: float = 30.0) -> None:
        self.frames = frames
        self.fps = fps
        self.fault: str | None = None
        self.sent = 0
        self._server: http.server.ThreadingHTTPServer | None = None
        self._clients: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._port = 0
        self.plug()

    @property
    def url(self) -> str:
        """Where the stream is; the same after ``unplug`` and ``plug``."""
        return f"http://127.0.0.1:{self._port}/stream"

    def plug(self) -> None:
        """Answer, on the same port as before."""
        camera = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                with camera._lock:
                    camera._clients.add(self.connection)
                with contextlib.suppress(OSError):
                    camera._stream(self)
                with camera._lock:
                    camera._clients.discard(self.connection)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

        self._server = Server(("127.0.0.1", self._port), Handler)
        self._port = int(self._server.server_address[1])
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def unplug(self) -> None:
        """Break every connection and answer no more."""
        server, self._server = self._server, None
        if server is not None:
            server.shutdown()
            server.server_close()
        with self._lock:
            for client in self._clients:
                with contextlib.suppress(OSError):
                    client.shutdown(socket.SHUT_RDWR)

    def _stream(self, handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={BOUNDARY}")
        handler.end_headers()
        due = time.monotonic()
        index = 0
        while self._server is not None:
            fault = self.fault
            if fault != "stall":
                frames = self.frames
                handler.wfile.write(part(frames[index % len(frames)], fault))
                handler.wfile.flush()
                index += 1
                self.sent += 1
            due = max(due + 1 / self.fps, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))


def part(jpeg: bytes, fault: str | None) -> bytes:
    """Return one part of the stream, sound or with a fault."""
    data = {
        "corrupt": b"\xff\xd8" + bytes(reversed(jpeg[2:])),
        "cut": jpeg[: len(jpeg) // 2],
        "empty": b"",
    }.get(fault or "", jpeg)
    length = len(data) + (1000 if fault == "lying" else 0)
    noise = b"\r\nnoise \x00\xff" * 50 if fault == "noise" else b""
    sized = b"" if fault == "unsized" else b"Content-Length: %d\r\n" % length
    return noise + b"--camera\r\nContent-Type: image/jpeg\r\n" + sized + b"\r\n" + data + b"\r\n"
