"""A mask in POSIX shared memory, written by one process and read by any number, in any language.

The memory is ``/dev/shm/NAME`` (``shm_open("/NAME")`` in C): a header of 128 bytes, little-endian, then the mask, one
byte per pixel, row by row. ``multiprocessing.shared_memory`` opens the same object, but up to Python 3.12 it deletes it
when the first reader exits (CPython issue 82300), so both ends here map the file themselves.

A reader takes the sequence number (odd: being written, try again), copies header and mask, and takes it again: if it
is the same and the CRC fits, the copy is whole. The CRC is there because Python cannot order stores on ARM.
"""

import contextlib
import mmap
import os
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segfast_edge.contract.images import Labels
from segfast_edge.errors import DataError
from targets.runner.frames import Notice, Result, now_ns

MAGIC = b"SGFMASK1"
STATES = ("starting", "running", "no_frames", "no_result", "ended", "replaced")
#                     magic sequence state classes height width flags crc frame captured finished published
HEADER = struct.Struct("<8s Q       I     I       I      I     I     I   Q     q        q        q")
HEADER_BYTES = 128
LATE = 1  # flag: the mask came after its deadline
_SEQUENCE = struct.Struct("<Q")
_FOLDER = Path("/dev/shm")  # noqa: S108 - not a temporary file: this is where Linux shows shared memory
_MAX_TRIES = 1000


@dataclass(frozen=True, slots=True)
class SharedMask:
    """What a reader gets; ``mask`` is None unless ``state`` is ``running``. Times are of the monotonic clock."""

    state: str
    frame: int
    captured_ns: int
    finished_ns: int
    published_ns: int
    late: bool
    classes: int
    mask: Labels | None


def _path(name: str) -> Path:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", name):
        raise DataError(f"shared memory name '{name}' must be 1 to 100 letters, digits, '.', '_' or '-'")
    return _FOLDER / name


class MaskWriter:
    """The one writer. Memory left by an earlier run is used again, so that readers need not notice a restart."""

    def __init__(self, name: str) -> None:
        self._path = _path(name)
        self._sequence = 0
        self._capacity = 0
        self._map: mmap.mmap | None = None
        self._last = (0, 0, 0, 0, 0, 0, 0)
        with contextlib.suppress(FileNotFoundError):
            self._adopt()
        if self._map is None:
            self._make(0)
        self._put("starting", b"", (0, 0, 0, 0, 0, 0, 0))

    def _adopt(self) -> None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            size = os.fstat(descriptor).st_size
            if size < HEADER_BYTES:
                return
            kept = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)
        if kept[: len(MAGIC)] != MAGIC:
            kept.close()
            raise DataError(f"shared memory {self._path.name} belongs to another program; choose another name")
        self._map, self._capacity = kept, size - HEADER_BYTES
        self._sequence = (_SEQUENCE.unpack_from(kept, 8)[0] + 1) // 2 * 2  # a writer killed in the middle left it odd

    def _make(self, capacity: int) -> None:
        """Make new memory under the same name; readers of the old one are told that it was replaced."""
        if self._map is not None:
            self._put("replaced", b"", self._last)
            self._map.close()
            self._map = None
        try:
            self._path.unlink(missing_ok=True)
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o644)
            try:
                os.posix_fallocate(descriptor, 0, HEADER_BYTES + capacity)  # or a full memory would be a SIGBUS later
                self._map = mmap.mmap(descriptor, HEADER_BYTES + capacity)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise DataError(f"cannot make shared memory {self._path.name}: {error.strerror or error}") from error
        self._capacity = capacity

    def publish(self, result: Result) -> None:
        """Write a mask; larger frames than before get new memory."""
        height, width = result.mask.shape
        if self._map is None or height * width > self._capacity:
            self._make(height * width)
        data = result.mask.tobytes()
        about = (len(result.classes), height, width, LATE * result.late)
        self._last = (*about, result.number, result.captured_ns, result.finished_ns)
        self._put("running", data, self._last)

    def withdraw(self, notice: Notice) -> None:
        """Keep the memory and say that its mask is not to be used."""
        self._put(notice.state, b"", self._last)

    def close(self) -> None:
        """Say that the runner has ended, and let go."""
        self._put("ended", b"", self._last)
        if self._map is not None:
            self._map.close()
            self._map = None

    def _put(self, state: str, data: bytes, about: tuple[int, int, int, int, int, int, int]) -> None:
        if self._map is None:
            return
        classes, height, width, flags, frame, captured_ns, finished_ns = about
        numbers = (STATES.index(state), classes, height, width, flags, zlib.crc32(data))
        self._sequence += 2
        _SEQUENCE.pack_into(self._map, 8, self._sequence - 1)
        self._map[HEADER_BYTES : HEADER_BYTES + len(data)] = data
        # the first 16 bytes last: a reader that sees the even number sees everything
        header = HEADER.pack(MAGIC, self._sequence - 1, *numbers, frame, captured_ns, finished_ns, now_ns())
        self._map[: HEADER.size] = header
        _SEQUENCE.pack_into(self._map, 8, self._sequence)


class MaskReader:
    """Any process on this computer that wants the newest mask."""

    def __init__(self, name: str) -> None:
        self._path = _path(name)
        self._map: mmap.mmap | None = None

    def read(self) -> SharedMask:
        """Return what is there now; after ``replaced`` the new memory is opened by itself.

        Raises:
            DataError: no runner has made this memory, or it is no mask.
        """
        found = self._read()
        if found.state == "replaced":
            self.close()
            found = self._read()
        return found

    def _read(self) -> SharedMask:
        memory = self._map or self._open()
        for _ in range(_MAX_TRIES):
            sequence = _SEQUENCE.unpack_from(memory, 8)[0]
            header = HEADER.unpack_from(memory)
            _, copied, state, classes, height, width, flags, crc, frame, captured, finished, published = header
            running = state < len(STATES) and STATES[state] == "running"
            size = height * width if running else 0
            data = memory[HEADER_BYTES : HEADER_BYTES + size]
            again = _SEQUENCE.unpack_from(memory, 8)[0]
            if sequence % 2 or sequence != copied or again != sequence or zlib.crc32(data) != crc:
                continue
            mask = np.frombuffer(data, np.uint8).reshape(height, width) if running else None
            late = bool(flags & LATE)
            return SharedMask(STATES[state], frame, captured, finished, published, late, classes, mask)
        raise DataError(f"shared memory {self._path.name} is never whole; is its writer still there?")

    def _open(self) -> mmap.mmap:
        try:
            with self._path.open("rb") as stream:
                self._map = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise DataError(f"no shared memory {self._path.name}; is the runner there with shm:NAME?") from error
        if len(self._map) < HEADER_BYTES or self._map[: len(MAGIC)] != MAGIC:
            self.close()
            raise DataError(f"shared memory {self._path.name} is no mask of this runner")
        return self._map

    def close(self) -> None:
        """Let go of the memory."""
        if self._map is not None:
            self._map.close()
            self._map = None
