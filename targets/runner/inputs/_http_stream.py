"""MJPEG over HTTP: one connection, its parts, and how it is lost."""

import base64
import contextlib
import http.client
import socket
import ssl
from collections import deque
from urllib.parse import SplitResult, unquote

from targets.runner.frames import now_ns
from targets.runner.inputs import Grab, InputLostError, InputOptions
from targets.runner.inputs._multipart import Part, PartParser, boundary_of

_READ_BYTES = 256 << 10
_TRICKLE = 4  # a camera that sends something, but no whole frame for this many times the silence, is lost too


class HttpStream:
    """One connection at a time; parts that come in together count as frames, and the newest wins downstream."""

    def __init__(self, address: SplitResult, options: InputOptions) -> None:
        self.live = True
        self.camera = True
        self._address = address
        self._options = options
        self._connection: http.client.HTTPConnection | None = None
        self._response: http.client.HTTPResponse | None = None
        self._socket: socket.socket | None = None
        self._parts: deque[Part] = deque()
        self._parser: PartParser | None = None
        self._count = 0

    @property
    def _name(self) -> str:
        return f"{self._address.scheme}://{self._address.hostname}:{self._port}{self._address.path}"  # no password

    @property
    def _port(self) -> int:
        return self._address.port or (443 if self._address.scheme.lower() == "https" else 80)

    def connect(self) -> None:
        """Ask for the stream; InputLostError if nobody answers or it is not a stream of parts."""
        self.close()
        try:
            self._open()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise InputLostError(f"{self._name} does not answer: {error or type(error).__name__}") from error

    def _open(self) -> None:
        host, patience = str(self._address.hostname), self._options.silence_s
        if self._address.scheme.lower() == "https":
            context = ssl.create_default_context()
            self._connection = http.client.HTTPSConnection(host, self._port, timeout=patience, context=context)
        else:
            self._connection = http.client.HTTPConnection(host, self._port, timeout=patience)
        target = (self._address.path or "/") + (f"?{self._address.query}" if self._address.query else "")
        self._connection.request("GET", target, headers=self._headers())
        self._socket = self._connection.sock
        response = self._response = self._connection.getresponse()
        boundary = boundary_of(response.getheader("Content-Type", ""))
        if response.status != http.HTTPStatus.OK or boundary is None:
            kind = response.getheader("Content-Type", "no content type")
            self.close()
            raise InputLostError(f"{self._name} answers {response.status} with {kind}; expected an MJPEG stream")
        self._parser = PartParser(boundary, self._options.rules)
        self._parts.clear()

    def _headers(self) -> dict[str, str]:
        if self._address.username is None:
            return {}
        login = f"{unquote(self._address.username)}:{unquote(self._address.password or '')}"
        return {"Authorization": "Basic " + base64.b64encode(login.encode()).decode()}

    def read(self, _: float, /) -> Grab:
        """Return the next part; the connection's own time limit detects a silent camera."""
        until_ns = now_ns() + round(_TRICKLE * self._options.silence_s * 1e9)
        while not self._parts:
            if now_ns() > until_ns:
                raise InputLostError(f"{self._name} gave no whole frame for {_TRICKLE * self._options.silence_s:g} s")
            self._receive()
        self._count += 1
        return Grab(f"{self._count:06d}", self._parts.popleft())

    def _receive(self) -> None:
        response, parser = self._response, self._parser
        if response is None or parser is None:
            raise InputLostError(f"{self._name} is not connected")
        try:
            data = response.read1(_READ_BYTES)
        except TimeoutError as error:
            raise InputLostError(f"{self._name} was silent for {self._options.silence_s:g} s") from error
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise InputLostError(f"{self._name} broke off: {error or type(error).__name__}") from error
        if not data:
            raise InputLostError(f"{self._name} ended the stream")
        self._parts.extend(parser.feed(data))

    def interrupt(self) -> None:
        """Shut the connection down, which wakes a reader that waits."""
        if self._socket is not None:
            with contextlib.suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close the connection."""
        for part in (self._response, self._connection):
            if part is not None:
                part.close()
        self._response = self._connection = self._socket = None
