"""A mask in POSIX shared memory, written by one process and read by any number, in any language.

The memory is ``/dev/shm/NAME`` (``shm_open("/NAME")`` in C), little-endian: a header of 64 bytes, then two places, each
with a header of 64 bytes and room for a mask of one byte per pixel, row by row. Number n goes to place n % 2, so that a
reader has the time of a whole frame to copy number n before the writer comes back to its place.

A reader takes the newest number n from the header, copies place n % 2, and keeps the copy if the place's own number
is n and the CRC-32 of the mask fits; else it tries again. The CRC is there because Python cannot order stores on ARM.
``multiprocessing.shared_memory`` opens the same object, but up to Python 3.12 it deletes it when the first reader
exits (CPython issue 82300), so both ends here map the file themselves.
"""

import contextlib
import fcntl
import mmap
import os
import re
import struct
import time
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from segfast_edge.contract.shared.images import Labels
from segfast_edge.errors import DataError
from targets.runner.frames import Notice, Result, now_ns

MAGIC = b"SGFMASK1"
STATES = ("starting", "running", "no_frames", "no_result", "ended", "replaced")
HEADER = struct.Struct("<8sQQ")  # magic, newest number, bytes of room for a mask
#                     number state classes height width flags crc frame captured_ns finished_ns published_ns
PLACE = struct.Struct("<Q    I     I       I      I     I     I   Q     q           q           q")
HEADER_BYTES = PLACE_BYTES = 64
LATE, DOUBTFUL = 1, 2  # flags: the mask came after its deadline; the picture it was made of is doubtful
_NUMBER = struct.Struct("<Q")
_FOLDER = Path("/dev/shm")  # noqa: S108 - not a temporary file: this is where Linux shows shared memory
_MAX_TRIES = 1000

_About = tuple[int, int, int, int, int, int, int]  # classes, height, width, flags, frame, captured_ns, finished_ns


@dataclass(frozen=True, slots=True)
class SharedMask:
    """The newest result; ``mask`` is None unless ``state`` is ``running``. Times are monotonic."""

    state: str
    frame: int
    captured_ns: int
    finished_ns: int
    published_ns: int
    late: bool
    doubtful: bool
    classes: int
    mask: Labels | None


def _path(name: str) -> Path:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,99}", name):
        raise DataError(f"shared memory name '{name}' must be 1 to 100 letters, digits, '.', '_' or '-'")
    return _FOLDER / name


def remove(name: str) -> None:
    """Remove the memory that a runner has left; whoever has it open keeps it."""
    _path(name).unlink(missing_ok=True)


def _size(capacity: int) -> int:
    return HEADER_BYTES + 2 * (PLACE_BYTES + capacity)


class MaskWriter:
    """The one writer. Memory left by an earlier run is used again, so that readers need not notice a restart.

    It holds a lock on the memory (``flock``), which the system lets go when the process ends, however that comes about.

    Raises:
        DataError: another runner writes there, or the memory is another program's.
    """

    wants_frame = False

    def __init__(self, name: str) -> None:
        self._path = _path(name)
        self._number = 0
        self._capacity = 0
        self._map: mmap.mmap | None = None
        self._last: _About = (0, 0, 0, 0, 0, 0, 0)
        try:
            with contextlib.suppress(FileNotFoundError):
                self._adopt()
        except OSError as error:
            raise DataError(f"cannot use shared memory {name}: {error.strerror or error}") from error
        if self._map is None:
            self._make(0)
        self._put("starting", b"", self._last)

    def _adopt(self) -> None:
        descriptor = os.open(self._path, os.O_RDWR | os.O_NOFOLLOW)
        try:
            size = os.fstat(descriptor).st_size
            if size == 0:
                return
            self._lock(descriptor)
            kept = mmap.mmap(descriptor, size)
        finally:
            os.close(descriptor)
        magic, number, capacity = HEADER.unpack_from(kept.read(HEADER.size).ljust(HEADER.size, b"\0"))
        if magic != MAGIC or size != _size(capacity):
            kept.close()
            raise DataError(f"shared memory {self._path.name} belongs to another program; choose another name")
        self._map, self._capacity, self._number = kept, capacity, number

    def _lock(self, descriptor: int) -> None:
        try:
            # the map keeps a duplicate of the descriptor, and with it the lock, until it is closed
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DataError(
                f"another runner writes shared memory {self._path.name}; end it or choose another name"
            ) from error

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
                self._lock(descriptor)
                os.posix_fallocate(descriptor, 0, _size(capacity))  # or a full memory would be a SIGBUS later
                self._map = mmap.mmap(descriptor, _size(capacity))
            finally:
                os.close(descriptor)
        except OSError as error:
            raise DataError(f"cannot make shared memory {self._path.name}: {error.strerror or error}") from error
        HEADER.pack_into(self._map, 0, MAGIC, self._number, capacity)
        self._capacity = capacity

    def write(self, result: Result) -> None:
        """Write a mask; larger frames than before get new memory."""
        height, width = result.mask.shape
        if self._map is None or height * width > self._capacity:
            self._make(height * width)
        flags = LATE * result.late | DOUBTFUL * bool(result.doubt)
        about = (len(result.classes), height, width, flags)
        self._last = (*about, result.number, result.captured_ns, result.finished_ns)
        self._put("running", result.mask.tobytes(), self._last)

    def notice(self, notice: Notice) -> None:
        """Keep the memory and say that its mask is not to be used."""
        self._put(notice.state, b"", self._last)

    def close(self) -> None:
        """Say that the runner has ended, and let go."""
        self._put("ended", b"", self._last)
        if self._map is not None:
            self._map.close()
            self._map = None

    def _put(self, state: str, data: bytes, about: _About) -> None:
        if self._map is None:
            return
        number = self._number + 1
        start = HEADER_BYTES + number % 2 * (PLACE_BYTES + self._capacity)
        _NUMBER.pack_into(self._map, start, 0)  # this place is nobody's while it is written
        self._map[start + PLACE_BYTES : start + PLACE_BYTES + len(data)] = data
        classes, height, width, flags, *times = about
        numbers = (STATES.index(state), classes, height, width, flags, zlib.crc32(data))
        PLACE.pack_into(self._map, start, number, *numbers, *times, now_ns())
        _NUMBER.pack_into(self._map, len(MAGIC), number)
        self._number = number


class MaskReader:
    """Any process on this computer that wants the newest mask."""

    def __init__(self, name: str) -> None:
        self._path = _path(name)
        self._map: mmap.mmap | None = None

    def read(self) -> SharedMask:
        """Return what is there now; memory that was replaced by larger is left for the new one.

        Raises:
            DataError: no runner has made this memory, or it is not a mask.
        """
        found = self._read()
        if found.state == "replaced":
            self.close()
            found = self._read()
        return found

    def _read(self) -> SharedMask:
        memory = self._map or self._open()
        for attempt in range(_MAX_TRIES):
            _, newest, capacity = HEADER.unpack_from(memory)
            start = HEADER_BYTES + newest % 2 * (PLACE_BYTES + capacity)
            copy = memory[start : start + PLACE_BYTES + capacity]
            number, state, classes, height, width, flags, crc, *rest = PLACE.unpack_from(copy)
            running = state < len(STATES) and STATES[state] == "running"
            data = copy[PLACE_BYTES : PLACE_BYTES + height * width] if running else b""
            if number != newest or state >= len(STATES) or zlib.crc32(data) != crc:
                time.sleep(0.0001 * (attempt > 0))
                continue
            mask = np.frombuffer(data, np.uint8).reshape(height, width) if running else None
            frame, captured_ns, finished_ns, published_ns = rest
            late, doubtful = bool(flags & LATE), bool(flags & DOUBTFUL)
            times = (captured_ns, finished_ns, published_ns)
            return SharedMask(STATES[state], frame, *times, late, doubtful, classes, mask)
        raise DataError(f"shared memory {self._path.name} is never complete; is its writer still running?")

    def _open(self) -> mmap.mmap:
        try:
            with self._path.open("rb") as stream:
                memory = mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ)
        except (OSError, ValueError) as error:
            raise DataError(f"no shared memory {self._path.name}; is a runner with output shm:NAME running?") from error
        magic, _, capacity = HEADER.unpack_from(memory[: HEADER.size].ljust(HEADER.size, b"\0"))
        if magic != MAGIC or len(memory) != _size(capacity):
            memory.close()
            raise DataError(f"shared memory {self._path.name} was not written by a segfast-edge runner")
        self._map = memory
        return memory

    def close(self) -> None:
        """Let go of the memory."""
        if self._map is not None:
            self._map.close()
            self._map = None
