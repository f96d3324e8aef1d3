"""The one kind of archive that is taken: plain files in ustar headers, no links, devices, folders or extensions.

Python's ``tarfile`` reads far more than a bundle needs, such as extended headers of any size that it keeps in memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from segfast_edge.errors import ArtifactError

_BLOCK = 512
_RECORD = 20 * _BLOCK  # tar fills up its last record with zeros
_PIECE = 1 << 20


class ByteStream(Protocol):
    """A stream of the unpacked tar."""

    def read(self, count: int, /) -> bytes:
        """Return ``count`` bytes, fewer only at the end."""
        ...


class Sink(Protocol):
    """A receiver for the content of an entry."""

    def write(self, data: bytes, /) -> object:
        """Take a piece."""
        ...


@dataclass(frozen=True, slots=True)
class Member:
    """One file's header."""

    name: str
    size: int
    executable: bool


class Archive:
    """Reads entry after entry from a stream of an unpacked tar; each entry's content must be taken before the next."""

    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._left = 0
        self._padding = 0

    def __iter__(self) -> Iterator[Member]:
        while (entry := self._next()) is not None:
            yield entry

    def _next(self) -> Member | None:
        if self._left:
            raise ArtifactError("a file in the archive was not taken before the next")
        self._exactly(self._padding)
        block = self._exactly(_BLOCK)
        if block == bytes(_BLOCK):
            return None
        entry = _entry(block)
        self._left, self._padding = entry.size, -entry.size % _BLOCK
        return entry

    def _exactly(self, count: int) -> bytes:
        data = self._stream.read(count)
        if len(data) != count:
            raise ArtifactError("the archive is cut short")
        return data

    def content(self, limit: int) -> bytes:
        """Return the present entry's content; ArtifactError if it is over ``limit`` bytes."""
        if self._left > limit:
            raise ArtifactError(f"an entry of {self._left} bytes is in the archive; at most {limit} are allowed")
        count, self._left = self._left, 0
        return self._exactly(count)

    def refuse_more(self) -> None:
        """Raise ArtifactError if anything but the padding of a tar comes after its end."""
        rest = self._stream.read(_RECORD + 1)
        if len(rest) > _RECORD or len(rest) % _BLOCK or rest.strip(b"\0"):
            raise ArtifactError("more bytes follow the archive's end; it was changed or put together wrongly")

    def copy_to(self, sink: Sink) -> None:
        """Write the present entry's content, piece by piece."""
        while self._left:
            piece = self._exactly(min(self._left, _PIECE))
            self._left -= len(piece)
            sink.write(piece)


def _entry(block: bytes) -> Member:
    if block[257:265] not in (b"ustar\x0000", b"ustar  \x00"):
        raise ArtifactError("the archive has a header that is not ustar")
    total = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    if _octal(block[148:156]) != total:
        raise ArtifactError("the archive has a header with a wrong checksum")
    if block[156:157] not in (b"0", b"\x00"):
        raise ArtifactError(f"the archive has an entry of type {block[156:157]!r}; only plain files are allowed")
    name, prefix = _text(block[0:100]), _text(block[345:500])
    return Member(f"{prefix}/{name}" if prefix else name, _octal(block[124:136]), bool(_octal(block[100:108]) & 0o100))


def _text(field: bytes) -> str:
    try:
        return field.partition(b"\0")[0].decode("ascii")
    except UnicodeDecodeError as error:
        raise ArtifactError("the archive has a name that is not ASCII") from error


def _octal(field: bytes) -> int:
    text = field.strip(b" \0")
    if not text or not all(digit in b"01234567" for digit in text):
        raise ArtifactError(f"the archive has a number {field[:16]!r} that is not octal")
    return int(text, 8)
