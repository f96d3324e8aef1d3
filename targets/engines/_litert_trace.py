"""Per-layer times of a TFLite file through LiteRT's C interface: its Python interface has no profiler.

The library is the one in the ai-edge-litert wheel. Its interface still moves between releases, so callers run this
in a process of its own, and events that do not look as expected are refused before their text is read.
"""

import ctypes
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segfast_edge.contract.shared.images import Frame
from segfast_edge.errors import TargetError

_CPU = 1  # the accelerator's bit
_WRITE = 1  # the mode of locking a buffer
_OPERATOR, _DELEGATE_OPERATOR = 2, 8  # kinds of events: a layer of TFLite's own, and one inside XNNPACK
_KINDS = {1 << shift for shift in range(9)}
_TENSOR_TYPE_BYTES = 1024  # a structure passed through unread; far more than it has

_ignore = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(lambda _: None)  # our strings are not the library's to free


class _Event(ctypes.Structure):
    _fields_ = (
        ("tag", ctypes.c_void_p),
        ("kind", ctypes.c_int),
        ("start_us", ctypes.c_uint64),
        ("elapsed_us", ctypes.c_uint64),
        ("memory", ctypes.c_uint64 * 6),
        ("data", ctypes.c_uint64 * 2),
        ("source", ctypes.c_int),
    )


@dataclass(frozen=True, slots=True)
class Event:
    """One executed layer: the kernel's name as XNNPACK or TFLite gives it, and whole microseconds."""

    kernel: str
    microseconds: int


class Tracer:
    """A compiled model that times each of its layers, on ``threads`` threads."""

    def __init__(self, path: Path, threads: int) -> None:
        self._library = _library()
        environment = self._make("CreateEnvironment", ctypes.c_int(0), None)
        model = self._make("CreateModelFromFile", environment, str(path).encode())
        self._compiled = self._make("CreateCompiledModel", environment, model, self._options(threads))
        self._profiler = self._make("CompiledModelGetProfiler", self._compiled)
        signature = self._make("GetModelSignature", model, ctypes.c_size_t(0))
        self._buffers = {side: self._buffer(environment, signature, side) for side in ("Input", "Output")}

    def _call(self, name: str, *words: Any) -> None:
        function = getattr(self._library, f"LiteRt{name}", None)
        if function is None:
            raise TargetError(f"this release of ai-edge-litert has no LiteRt{name}; layers cannot be timed with it")
        status = function(*words)
        if status != 0:
            raise TargetError(f"LiteRt{name} failed with status {status}; layers cannot be timed")

    def _make(self, name: str, *words: Any) -> ctypes.c_void_p:
        made = ctypes.c_void_p()
        self._call(name, *words, ctypes.byref(made))
        return made

    def _options(self, threads: int) -> ctypes.c_void_p:
        options = self._make("CreateOptions")
        self._call("SetOptionsHardwareAccelerators", options, ctypes.c_int(_CPU))
        settings = {"runtime_options_string": "enable_profiling = true\n", "xnnpack": f"num_threads = {threads}\n"}
        # held for as long as the library may look at them
        self._texts = [ctypes.create_string_buffer(text.encode()) for text in settings.values()]
        for name, text in zip(settings, self._texts, strict=True):
            payload = ctypes.cast(text, ctypes.c_void_p)
            self._call("AddOpaqueOptions", options, self._make("CreateOpaqueOptions", name.encode(), payload, _ignore))
        return options

    def _buffer(self, environment: ctypes.c_void_p, signature: ctypes.c_void_p, side: str) -> ctypes.c_void_p:
        first = ctypes.c_size_t(0)
        needs = self._make(f"GetCompiledModel{side}BufferRequirements", self._compiled, first, first)
        tensor = self._make(f"GetSignature{side}TensorByIndex", signature, first)
        kind = ctypes.create_string_buffer(_TENSOR_TYPE_BYTES)
        self._call("GetRankedTensorType", tensor, kind)
        return self._make("CreateManagedTensorBufferFromRequirements", environment, kind, needs)

    def _fill(self, batch: Frame) -> None:
        size, address = ctypes.c_size_t(), ctypes.c_void_p()
        self._call("GetTensorBufferPackedSize", self._buffers["Input"], ctypes.byref(size))
        if size.value != batch.nbytes:
            raise TargetError(f"the model takes {size.value} bytes; the input has {batch.nbytes}")
        self._call("LockTensorBuffer", self._buffers["Input"], ctypes.byref(address), ctypes.c_int(_WRITE))
        ctypes.memmove(address, batch.ctypes.data, batch.nbytes)
        self._call("UnlockTensorBuffer", self._buffers["Input"])

    def run(self, batch: Frame) -> list[Event]:
        """Run once and return what was executed, in order."""
        self._fill(batch)
        ends = [ctypes.byref(self._buffers[side]) for side in ("Input", "Output")]
        one, first = ctypes.c_size_t(1), ctypes.c_size_t(0)
        self._call("ResetProfiler", self._profiler)
        self._call("StartProfiler", self._profiler)
        self._call("RunCompiledModel", self._compiled, first, one, ends[0], one, ends[1])
        self._call("StopProfiler", self._profiler)
        count = ctypes.c_int()
        self._call("GetNumProfilerEvents", self._profiler, ctypes.byref(count))
        events = (_Event * count.value)()
        self._call("GetProfilerEvents", self._profiler, count, events)
        return _layers(list(events))


def _library() -> ctypes.CDLL:
    found = importlib.util.find_spec("ai_edge_litert")
    if found is None or found.origin is None:
        raise TargetError("only ai-edge-litert times layers; tflite-runtime does not. Run: pip install ai-edge-litert")
    path = Path(found.origin).parent / "libLiteRt.so"
    if not path.is_file():
        raise TargetError(f"{path} is missing; layers need ai-edge-litert 2.3 or newer")
    return ctypes.CDLL(str(path))


def _layers(events: Sequence[_Event]) -> list[Event]:
    if not all(event.kind in _KINDS and event.source in (0, 1, 2) and event.tag for event in events):
        raise TargetError("this release of ai-edge-litert has another form of profiling events; layers need 2.3")
    return [
        Event(ctypes.string_at(event.tag).decode("utf-8", "replace"), int(event.elapsed_us))
        for event in events
        if event.kind in (_OPERATOR, _DELEGATE_OPERATOR)
    ]
