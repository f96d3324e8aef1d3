"""ONNX files through ONNX Runtime on a CPU."""

import importlib
import json
import os
import re
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from segfast_edge.contract.images import Frame
from segfast_edge.contract.layers import Layer
from segfast_edge.contract.manifest import Manifest
from targets.common.session import Options, Output, Trace, import_runtime, refuse_precision, unreadable
from targets.common.trace import WARM_UP_RUNS, convolution_macs, typical_layers

FORMATS = ("onnx",)
PACKAGES = ("onnxruntime",)
MODULES = ("onnxruntime",)

_VARIANT = re.compile("^(Nhwc|Fused|QLinear)+")
_WEIGHTED = ("Conv", "ConvTranspose", "ConvInteger")


def runtime() -> ModuleType:
    """Import onnxruntime, its telemetry off: it would write files into the home folder on import."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return import_runtime(MODULES, PACKAGES)


def load(artifact: Path, manifest: Manifest, options: Options) -> "OnnxRuntimeSession":
    """Open the model with every graph optimisation and a fixed number of threads."""
    refuse_precision("onnxruntime", options)
    return OnnxRuntimeSession(artifact / manifest.model_file, manifest, options.thread_count)


def _open(path: Path, threads: int, trace: Path | None = None) -> Any:
    onnxruntime = runtime()
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = threads
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    if trace is not None:
        settings.enable_profiling = True
        settings.profile_file_prefix = str(trace)
    try:
        return onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    except _errors() as error:
        raise unreadable(path, "onnxruntime", error) from error


def _errors() -> tuple[type[Exception], ...]:
    """Return the runtime's own exception classes, which share no base but Exception."""
    native = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    return tuple(each for each in vars(native).values() if isinstance(each, type) and issubclass(each, Exception))


class OnnxRuntimeSession:
    """One inference session."""

    def __init__(self, path: Path, manifest: Manifest, threads: int) -> None:
        self._session = _open(path, threads)
        self._path = path
        self._input = manifest.input
        self._name = self._session.get_inputs()[0].name

    def run(self, batch: Frame) -> Output:
        """Run one batch; the runtime allocates the output afresh each time."""
        return np.asarray(self._session.run(None, {self._name: batch})[0])

    def facts(self) -> Mapping[str, Any]:
        """Tell the precision from the kernels that a traced run of a second session executed."""
        blank = np.zeros(self._input.shape, self._input.dtype)
        counts: Counter[str] = Counter()
        for layer in _trace(self._path, Trace(Options(threads=1), blank, runs=1))[0]:
            if layer.kind in _WEIGHTED:
                counts[_precision(layer.kernel)] += 1
        return {
            "executed_precision": "+".join(sorted(counts)) or "none",
            "layer_precisions": dict(counts),
            "versions": {"onnxruntime": runtime().__version__, "numpy": np.__version__},
        }


def layers(artifact: Path, manifest: Manifest, trace: Trace) -> list[Layer]:
    """Time each node by the runtime's own trace, which has a resolution of one microsecond.

    The multiply-accumulates are those executed: padding of the channels to whole vectors is included.
    """
    more = Trace(trace.options, trace.batch, trace.runs + WARM_UP_RUNS)
    runs = iter(_trace(artifact / manifest.model_file, more))
    return typical_layers(lambda: next(runs), trace.runs)


def _trace(path: Path, trace: Trace) -> list[list[Layer]]:
    """Return the nodes of each run in the order of their execution."""
    with tempfile.TemporaryDirectory(prefix="segfast-trace-") as folder:
        session = _open(path, trace.options.thread_count, Path(folder) / "run")
        name = session.get_inputs()[0].name
        for _ in range(trace.runs):
            session.run(None, {name: trace.batch})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    nodes = [_layer(event) for event in events if event.get("cat") == "Node" and "op_name" in event["args"]]
    size = len(nodes) // trace.runs
    return [nodes[start : start + size] for start in range(0, size * trace.runs, size)]


def _layer(event: Mapping[str, Any]) -> Layer:
    said = event["args"]
    kernel = said["op_name"]
    name = event["name"].removesuffix("_kernel_time")
    return Layer(name, _kind(kernel), kernel, event["dur"] / 1000, _macs(kernel, said))


def _kind(kernel: str) -> str:
    """Return the ONNX operator under the runtime's names for its own variants of it."""
    return _VARIANT.sub("", kernel)


def _precision(kernel: str) -> str:
    return "int8" if "QLinear" in kernel or kernel.endswith("Integer") or kernel == "QGemm" else "float32"


def _macs(kernel: str, said: Mapping[str, Any]) -> int | None:
    """Return the multiply-accumulates of a convolution, from the shapes in its trace; None where it has none."""
    if _kind(kernel) not in _WEIGHTED:
        return None
    shapes = [next(iter(each.values())) for each in said["input_type_shape"]]
    weights = max(shapes[1:], key=len)
    if len(weights) != len(shapes[0]):
        return None  # packed by the kernel, which then shows no shape: int8
    of = shapes[0] if _kind(kernel) == "ConvTranspose" else next(iter(said["output_type_shape"][0].values()))
    channels_last = of[-1] == weights[0] != of[1]  # the kernel's name does not tell it
    return convolution_macs(weights, of[1:-1] if channels_last else of[2:])
