"""Motion-JPEG in an AVI file (RIFF, one video stream, ``idx1`` index): plays everywhere and needs no encoder."""

import os
import struct
from pathlib import Path
from typing import BinaryIO

SYNC_NS = 2_000_000_000

Size = tuple[int, int]  # height, width

_HEADER_BYTES = 12 + 8 + 4 + 8 + 56 + 8 + 4 + 8 + 56 + 8 + 40  # up to where the LIST of frames begins
_HAS_INDEX, _KEY_FRAME = 0x10, 0x10


class AviFile:
    """Appends JPEG frames; the header is brought up to date every ``refresh`` frames and on closing.

    Frames are forced to the disk every two seconds. A file cut off by a power loss lacks at most its index and the
    frames since then: players read it.
    """

    def __init__(self, path: Path, size: Size, *, fps: float | None, refresh: int = 100) -> None:
        self.path = path
        self.size = size
        self._fps = fps
        self._refresh = refresh
        self._index = bytearray()
        self._frames = 0
        self._largest = 0
        self._first_ns = self._last_ns = self._synced_ns = 0
        self._stream: BinaryIO = path.open("xb")  # what another run recorded is never overwritten
        self._stream.write(self._header(0))
        self._end = self._stream.tell()

    @property
    def bytes_written(self) -> int:
        """How long the file is."""
        return self._end + len(self._index)

    def append(self, data: bytes, captured_ns: int) -> None:
        """Add one JPEG; on OSError the file is as it was before."""
        chunk = b"00dc" + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)
        try:
            self._stream.seek(self._end)
            self._stream.write(chunk)
            self._stream.flush()
        except OSError:
            self._stream.truncate(self._end)
            raise
        self._index += struct.pack("<4sIII", b"00dc", _KEY_FRAME, self._end - _HEADER_BYTES - 8, len(data))
        self._end += len(chunk)
        self._first_ns = self._first_ns or captured_ns
        self._last_ns = captured_ns
        self._frames += 1
        self._largest = max(self._largest, len(data))
        if self._frames % self._refresh == 0:
            self._write_header(0)
        if captured_ns - self._synced_ns >= SYNC_NS:
            os.fdatasync(self._stream.fileno())
            self._synced_ns = captured_ns

    def close(self) -> None:
        """Write the index and the final header."""
        try:
            self._stream.seek(self._end)
            self._stream.write(b"idx1" + struct.pack("<I", len(self._index)) + self._index)
            self._write_header(len(self._index) + 8)
        finally:
            self._stream.close()

    def _write_header(self, after: int) -> None:
        self._stream.seek(0)
        self._stream.write(self._header(after))
        self._stream.flush()

    def _rate(self) -> float:
        if self._fps is not None:
            return self._fps
        span_s = (self._last_ns - self._first_ns) / 1e9
        return min(1000.0, (self._frames - 1) / span_s) if self._frames > 1 and span_s > 0 else 10.0

    def _header(self, after: int) -> bytes:
        height, width = self.size
        per_frame_us = round(1e6 / self._rate())
        total = _HEADER_BYTES + 12 if self._frames == 0 else self._end
        flags = _HAS_INDEX if after else 0
        avih = struct.pack(
            "<14I", per_frame_us, 0, 0, flags, self._frames, 0, 1, self._largest, width, height, 0, 0, 0, 0
        )
        strh = struct.pack(
            "<4s4sIHHIIIIIIII4H", b"vids", b"MJPG", 0, 0, 0, 0, per_frame_us, 1_000_000, 0, self._frames,
            self._largest, 0xFFFFFFFF, 0, 0, 0, width, height,
        )  # fmt: skip
        strf = struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"MJPG", width * height * 3, 0, 0, 0, 0)
        strl = _list(b"strl", _chunk(b"strh", strh) + _chunk(b"strf", strf))
        head = _list(b"hdrl", _chunk(b"avih", avih) + strl)
        movi = b"LIST" + struct.pack("<I", total - _HEADER_BYTES - 8) + b"movi"
        return b"RIFF" + struct.pack("<I", total + after - 8) + b"AVI " + head + movi


def _chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data


def _list(name: bytes, data: bytes) -> bytes:
    return _chunk(b"LIST", name + data)
