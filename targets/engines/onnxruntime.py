"""ONNX files through ONNX Runtime, on the processor or with CUDA. TensorRT has an engine of its own."""

import importlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from segfast_edge.contract.layer_times import Layer
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.masks import RawOutput
from segfast_edge.contract.report import PROCESSOR
from segfast_edge.contract.shared.images import Frame
from segfast_edge.errors import TargetError
from targets.common.session import LayerTrace, Options, executed_layers, import_runtime, unreadable
from targets.common.trace import WARM_UP_RUNS, convolution_macs, typical_layers

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_VARIANT = re.compile("^(Nhwc|Fused|QLinear)+")
_WEIGHTED = ("Conv", "ConvTranspose", "ConvInteger")


def runtime() -> ModuleType:
    """Import onnxruntime, its telemetry off: it would write files into the home folder on import."""
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
    return import_runtime("onnxruntime")


def load(artifact: Path, manifest: Manifest, options: Options) -> "OnnxRuntimeSession":
    """Open the model with every graph optimisation and a fixed number of threads."""
    return OnnxRuntimeSession(artifact / manifest.model_file, manifest, options)


def _providers(onnxruntime: ModuleType, options: Options) -> list[Any]:
    """Return what to run nodes with, the preferred first; TargetError if CUDA is asked for and not built in."""
    available = onnxruntime.get_available_providers()
    if not options.uses_gpu(available=_CUDA in available):
        return [_CPU]
    if _CUDA not in available:
        raise TargetError(
            f"onnxruntime {onnxruntime.__version__} has no CUDA; it has {', '.join(available)}. On a Jetson install"
            " NVIDIA's onnxruntime-gpu for your JetPack, elsewhere run: pip install onnxruntime-gpu"
        )
    # TF32 has 10 bits of mantissa, which is not the float32 that parity was measured in
    return [(_CUDA, {"use_tf32": "0"}), _CPU]


def _open(path: Path, options: Options, trace: Path | None = None) -> Any:
    onnxruntime = runtime()
    providers = _providers(onnxruntime, options)
    settings = onnxruntime.SessionOptions()
    settings.intra_op_num_threads = options.thread_count
    settings.inter_op_num_threads = 1
    settings.log_severity_level = 3
    if trace is not None:
        settings.enable_profiling = True
        settings.profile_file_prefix = str(trace)
    try:
        session = onnxruntime.InferenceSession(str(path), settings, providers=providers)
    except _errors() as error:
        raise unreadable(path, "onnxruntime", error) from error
    if options.device == "cuda" and _CUDA not in session.get_providers():
        raise TargetError("onnxruntime cannot start CUDA on this machine and fell back to the processor; see its log")
    return session


def _errors() -> tuple[type[Exception], ...]:
    """Return the runtime's own exception classes, which share no base but Exception."""
    native = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    return tuple(each for each in vars(native).values() if isinstance(each, type) and issubclass(each, Exception))


class OnnxRuntimeSession:
    """One inference session."""

    def __init__(self, path: Path, manifest: Manifest, options: Options) -> None:
        self._session = _open(path, options)
        self._options = replace(options, threads=1)
        self._path = path
        self._input = manifest.input
        self._name = self._session.get_inputs()[0].name

    def run(self, batch: Frame) -> RawOutput:
        """Run one batch; the runtime allocates the output afresh each time."""
        return np.asarray(self._session.run(None, {self._name: batch})[0])

    def facts(self) -> Mapping[str, Any]:
        """Derive the precision from the kernels that a traced run of a second session executed."""
        blank = np.zeros(self._input.shape, self._input.dtype)
        traced = _trace(self._path, LayerTrace(self._options, blank, runs=1))[0]
        places = {place for _, place in traced}
        weighted = [layer for layer, _ in traced if layer.kind in _WEIGHTED]
        return {
            **executed_layers((layer.name, _precision(layer.kernel)) for layer in weighted),
            "executed_device": " and ".join(sorted(places, reverse=True)) or PROCESSOR,
            "versions": {"onnxruntime": runtime().__version__, "numpy": np.__version__},
        }


def layers(artifact: Path, manifest: Manifest, trace: LayerTrace) -> list[Layer]:
    """Time each node by the runtime's own trace, which has a resolution of one microsecond.

    The multiply-accumulates are those executed: padding of the channels to whole vectors is included. With CUDA the
    trace has what starting a layer took, not the layer, so that is refused.
    """
    more = LayerTrace(trace.options, trace.batch, trace.runs + WARM_UP_RUNS)
    traced = _trace(artifact / manifest.model_file, more)
    if any(place != PROCESSOR for _, place in traced[0]):
        raise TargetError("layers of engine onnxruntime are timed on the processor only; add --device cpu")
    runs = ([layer for layer, _ in run] for run in traced)
    return typical_layers(lambda: next(runs), trace.runs)


def _trace(path: Path, trace: LayerTrace) -> list[list[tuple[Layer, str]]]:
    """Return the nodes of each run in the order of their execution, each with where it ran."""
    with tempfile.TemporaryDirectory(prefix="segfast-trace-") as folder:
        session = _open(path, trace.options, Path(folder) / "run")
        name = session.get_inputs()[0].name
        for _ in range(trace.runs):
            session.run(None, {name: trace.batch})
        events = json.loads(Path(session.end_profiling()).read_text(encoding="utf-8"))
    said = [event for event in events if event.get("cat") == "Node" and "op_name" in event["args"]]
    nodes = [(_layer(event), _place(event["args"].get("provider", _CPU))) for event in said]
    size = len(nodes) // trace.runs
    return [nodes[start : start + size] for start in range(0, size * trace.runs, size)]


def _layer(event: Mapping[str, Any]) -> Layer:
    said = event["args"]
    kernel = said["op_name"]
    name = event["name"].removesuffix("_kernel_time")
    precision = _precision(kernel) if _kind(kernel) in _WEIGHTED else None
    return Layer(name, _kind(kernel), kernel, event["dur"] / 1000, _macs(kernel, said), precision)


def _place(provider: str) -> str:
    """Return where a node ran, by the name of what executed it: ``processor``, ``CUDA``, or another's own name."""
    return PROCESSOR if provider == _CPU else provider.removesuffix("ExecutionProvider")


def _kind(kernel: str) -> str:
    """Return the ONNX operator under the runtime's names for its own variants of it."""
    return _VARIANT.sub("", kernel)


def _precision(kernel: str) -> str:
    return "int8" if "QLinear" in kernel or kernel.endswith("Integer") or kernel == "QGemm" else "float32"


def _macs(kernel: str, said: Mapping[str, Any]) -> int | None:
    """Return the multiply-accumulates of a convolution, from the shapes in its trace; None if it has none."""
    if _kind(kernel) not in _WEIGHTED:
        return None
    shapes = [next(iter(each.values())) for each in said["input_type_shape"]]
    if len(shapes) < 2:
        return None  # the kernel packed its weights and says nothing of them
    weights = max(shapes[1:], key=len)
    if len(weights) != len(shapes[0]):
        return None  # packed by the kernel, which then shows no shape: int8
    of = shapes[0] if _kind(kernel) == "ConvTranspose" else next(iter(said["output_type_shape"][0].values()))
    channels_last = of[-1] == weights[0] != of[1]  # the kernel's name does not tell it
    return convolution_macs(weights, of[1:-1] if channels_last else of[2:])
