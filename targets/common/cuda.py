"""The functions of NVIDIA's CUDA runtime that an engine needs, through ctypes, because every board with a GPU has them.

Memory, copies, one stream, and events that time it. Nothing here launches a kernel.
"""

import ctypes
import importlib.util
import weakref
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segfast_edge.errors import TargetError

_SONAMES = ("libcudart.so.13", "libcudart.so.12", "libcudart.so.11.0")
_WHEEL_FOLDERS = ("cu13/lib", "cuda_runtime/lib")  # of NVIDIA's packages on the index
_TOOLKIT = Path("/usr/local/cuda/lib64")
_INSTALL = "On a Jetson run: sudo apt install nvidia-jetpack; elsewhere install NVIDIA's driver and CUDA runtime"

_TO_GPU, _FROM_GPU = 1, 2  # cudaMemcpyKind
_MAJOR, _MINOR = 75, 76  # cudaDeviceAttr: compute capability
_PROPERTIES_BYTES = 4096  # cudaDeviceProp grows with every release (1,032 bytes in 12.9); its first field is the name
_NAME_BYTES = 256

Array = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU's name and compute capability, for example ``Orin`` and ``8.7``."""

    name: str
    capability: str


class Cuda:
    """The CUDA runtime library; every failure of it is a TargetError in its own words."""

    def __init__(self, library: Path | str) -> None:
        self.library = str(library)
        try:
            self._functions = ctypes.CDLL(self.library)
        except OSError as error:
            raise TargetError(f"{library} does not load: {error}") from error
        self._functions.cudaGetErrorString.restype = ctypes.c_char_p

    @classmethod
    def open(cls) -> "Cuda":
        """Return the newest library on this machine that finds a GPU.

        Raises:
            TargetError: there is no library, or none finds a GPU; the message is that of the first.
        """
        failures: list[TargetError] = []
        for name in libraries():
            try:
                cuda = cls(name)
                if cuda.gpus():
                    return cuda
                failures.append(TargetError("no NVIDIA GPU"))
            except TargetError as error:
                failures.append(error)
        if not failures:
            raise TargetError(f"libcudart is missing. {_INSTALL}")
        raise TargetError(f"no NVIDIA GPU that CUDA can use: {failures[0]}")

    def call(self, name: str, *words: Any) -> None:
        """Call ``cuda<name>``; TargetError if it fails."""
        status = getattr(self._functions, f"cuda{name}")(*words)
        if status != 0:
            said = self._functions.cudaGetErrorString(status).decode()
            raise TargetError(f"cuda{name} failed: {said} (CUDA runtime {self.version()})")

    def _number(self, name: str, *words: Any) -> int:
        number = ctypes.c_int()
        self.call(name, ctypes.byref(number), *words)
        return number.value

    def handle(self, name: str, *words: Any) -> int:
        """Call what makes something, and return the address it gives."""
        made = ctypes.c_void_p()
        self.call(name, ctypes.byref(made), *words)
        return made.value or 0

    def release(self, name: str, address: int) -> None:
        """Give back what ``handle`` gave; a failure is let go, since there is nothing to be done about it."""
        getattr(self._functions, f"cuda{name}")(ctypes.c_void_p(address))

    def version(self) -> str:
        """Return the library's version, for example ``12.6``."""
        number = ctypes.c_int()
        self._functions.cudaRuntimeGetVersion(ctypes.byref(number))
        return f"{number.value // 1000}.{number.value % 1000 // 10}"

    def gpus(self) -> int:
        """Return how many GPUs there are; TargetError if there is no driver for any."""
        return self._number("GetDeviceCount")

    def gpu(self) -> Gpu:
        """Describe the first GPU, which is the one that is used."""
        properties = ctypes.create_string_buffer(_PROPERTIES_BYTES)
        self.call("GetDeviceProperties", properties, ctypes.c_int(0))
        name = properties.raw[:_NAME_BYTES].split(b"\0", 1)[0].decode("utf-8", "replace")
        first = ctypes.c_int(0)
        capability = [self._number("DeviceGetAttribute", ctypes.c_int(each), first) for each in (_MAJOR, _MINOR)]
        return Gpu(name, ".".join(map(str, capability)))

    def free_bytes(self) -> int:
        """Return the GPU's free memory; on a Jetson that is the board's."""
        free, total = ctypes.c_size_t(), ctypes.c_size_t()
        self.call("MemGetInfo", ctypes.byref(free), ctypes.byref(total))
        return free.value


def libraries() -> Iterator[str]:
    """Yield the CUDA runtime libraries that may be on this machine, the newest first if the loader finds several."""
    for name in _SONAMES:
        if _loads(name):
            yield name
    for folder in (*_wheel_folders(), _TOOLKIT):
        yield from sorted(map(str, folder.glob("libcudart.so.[0-9]*")), reverse=True)


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _wheel_folders() -> list[Path]:
    found = importlib.util.find_spec("nvidia")  # a namespace of many packages
    places = found.submodule_search_locations if found is not None else None
    return [Path(place) / folder for place in places or () for folder in _WHEEL_FOLDERS]


class CudaTensor:
    """A tensor on the GPU, and its twin in page-locked memory of the host, which the GPU copies without help."""

    def __init__(self, cuda: Cuda, shape: tuple[int, ...], dtype: npt.DTypeLike) -> None:
        kind = np.dtype(dtype)
        self.bytes = kind.itemsize * int(np.prod(shape))
        self.address = cuda.handle("Malloc", ctypes.c_size_t(self.bytes))
        weakref.finalize(self, cuda.release, "Free", self.address)
        self.host_address = cuda.handle("MallocHost", ctypes.c_size_t(self.bytes))
        weakref.finalize(self, cuda.release, "FreeHost", self.host_address)
        memory = (ctypes.c_ubyte * self.bytes).from_address(self.host_address)
        self.host: Array = np.ctypeslib.as_array(memory).view(kind).reshape(shape)


class CudaStream:
    """A queue of work for the GPU, and two events that time the stretch between them."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self.address = cuda.handle("StreamCreate")
        weakref.finalize(self, cuda.release, "StreamDestroy", self.address)
        self._events = [cuda.handle("EventCreate") for _ in range(2)]
        for event in self._events:
            weakref.finalize(self, cuda.release, "EventDestroy", event)

    def to_gpu(self, tensor: CudaTensor) -> None:
        """Queue the copy of a tensor's host memory to the GPU."""
        self._copy(tensor.address, tensor.host_address, tensor.bytes, _TO_GPU)

    def from_gpu(self, tensor: CudaTensor) -> None:
        """Queue the copy of a tensor to the host."""
        self._copy(tensor.host_address, tensor.address, tensor.bytes, _FROM_GPU)

    def _copy(self, destination: int, source: int, size: int, kind: int) -> None:
        ends = ctypes.c_void_p(destination), ctypes.c_void_p(source), ctypes.c_size_t(size)
        self._cuda.call("MemcpyAsync", *ends, ctypes.c_int(kind), ctypes.c_void_p(self.address))

    def mark(self, place: int) -> None:
        """Queue the note of the time at the start (0) or the end (1) of what is timed."""
        self._cuda.call("EventRecord", ctypes.c_void_p(self._events[place]), ctypes.c_void_p(self.address))

    def wait(self) -> None:
        """Wait until all that is queued is done."""
        self._cuda.call("StreamSynchronize", ctypes.c_void_p(self.address))

    def marked_ms(self) -> float:
        """Return the GPU's own time between the two marks, to about half a microsecond; both have to be done."""
        milliseconds = ctypes.c_float()
        self._cuda.call("EventElapsedTime", ctypes.byref(milliseconds), *map(ctypes.c_void_p, self._events))
        return milliseconds.value
