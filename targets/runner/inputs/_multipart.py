"""The parts of a ``multipart/x-mixed-replace`` stream, from bytes as they come; bounded whatever comes."""

from collections.abc import Iterator

from targets.runner.decoding import RULES, Encoded, PictureRules
from targets.runner.frames import Broken

MAX_PART_BYTES = 16 << 20
MAX_HEADER_BYTES = 8 << 10
MAX_BOUNDARY = 200

Part = Encoded | Broken


def boundary_of(content_type: str) -> bytes | None:
    """Return the line that parts of this content type begin with, or None if it is no stream of parts."""
    kind, *parameters = content_type.split(";")
    if not kind.strip().lower().startswith("multipart/"):
        return None
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        value = value.strip().strip('"')
        if key.strip().lower() == "boundary" and value and len(value) <= MAX_BOUNDARY and value.isascii():
            # some cameras write the two dashes into the parameter, which the standard does not
            return b"--" + value.removeprefix("--").encode()
    return None


class PartParser:
    """Cuts a stream into parts, by Content-Length if a part has it, else by the next boundary."""

    def __init__(self, boundary: bytes, rules: PictureRules = RULES) -> None:
        self._boundary = boundary
        self._rules = rules
        self._buffer = bytearray()
        self._length: int | None = None
        self._in_body = False
        self._searched = 0  # bytes of the buffer known to hold no boundary
        self._count = 0

    @property
    def held_bytes(self) -> int:
        """How much is kept for a part not yet whole."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[Part]:
        """Take in what came and yield each part that is whole."""
        self._buffer += data
        while (part := self._advance()) is not None:
            if isinstance(part, Encoded | Broken):
                yield part

    def _advance(self) -> Part | bool | None:
        """Take one step; None if more bytes are needed, True if there is no part to give yet."""
        if not self._in_body:
            return self._header()
        return self._sized_body() if self._length is not None else self._open_body()

    def _header(self) -> Part | bool | None:
        start = self._buffer.find(self._boundary)
        if start < 0:
            del self._buffer[: -len(self._boundary)]  # what comes between parts is not needed
            return None
        end = self._buffer.find(b"\r\n\r\n", start, start + MAX_HEADER_BYTES)
        if end < 0:
            if len(self._buffer) - start < MAX_HEADER_BYTES:
                return None
            del self._buffer[: start + len(self._boundary)]
            return Broken(f"part header over {MAX_HEADER_BYTES} bytes")
        header = bytes(self._buffer[start:end])
        del self._buffer[: end + 4]
        self._in_body, self._searched = True, 0
        self._length = _content_length(header)
        if self._length is not None and self._length > MAX_PART_BYTES:
            self._in_body = False
            return Broken(f"part of {self._length} bytes; at most {MAX_PART_BYTES} are taken")
        return True

    def _sized_body(self) -> Part | None:
        assert self._length is not None
        if len(self._buffer) < self._length:
            return None
        return self._part(self._length)

    def _open_body(self) -> Part | None:
        end = self._buffer.find(b"\r\n" + self._boundary, self._searched)
        if end >= 0:
            return self._part(end)
        self._searched = max(0, len(self._buffer) - len(self._boundary) - 2)
        if len(self._buffer) > MAX_PART_BYTES:
            self._buffer.clear()
            self._in_body = False
            return Broken(f"part over {MAX_PART_BYTES} bytes")
        return None

    def _part(self, length: int) -> Part:
        data = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._in_body = False
        self._count += 1
        return Encoded(data, f"part {self._count}", self._rules) if data else Broken("empty part")


def _content_length(header: bytes) -> int | None:
    for line in header.split(b"\r\n"):
        key, colon, value = line.partition(b":")
        value = value.strip()
        if colon and key.strip().lower() == b"content-length" and value.isdigit() and len(value) <= 12:
            return int(value)
    return None
