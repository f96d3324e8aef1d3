"""OpenVINO on a CPU, in float32 unless asked: its own default is bfloat16 if the CPU has it."""

from collections.abc import Container, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from segfast_edge.contract.layer_times import RESAMPLING, Layer
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.masks import RawOutput
from segfast_edge.contract.shared.images import Frame
from targets.common.session import LayerTrace, Options, executed_layers, import_runtime, unreadable
from targets.common.trace import WARM_UP_RUNS, convolution_macs, typical_layers

_NAMES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16", "i8": "int8", "u8": "int8"}
_WEIGHTED = {"Convolution", "Deconvolution", "FullyConnected", "MatMul"}  # the layers that cost time


def runtime() -> ModuleType:
    """Import openvino."""
    return import_runtime("openvino")


def load(artifact: Path, manifest: Manifest, options: Options) -> "OpenVinoSession":
    """Compile the model for lowest latency with a fixed number of threads."""
    _, compiled = _compile(artifact / manifest.model_file, options)
    return OpenVinoSession(compiled, runtime().__version__)


def _compile(path: Path, options: Options, *, traced: bool = False) -> tuple[Any, Any]:
    """Return the model as it was read, and compiled."""
    core = runtime().Core()
    # weights mapped from the file end the process (SIGBUS) when a card fails or the file is cut short
    core.set_property({"ENABLE_MMAP": False})
    settings = {
        "INFERENCE_PRECISION_HINT": options.precision or "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": options.thread_count,
        "PERF_COUNT": traced,
    }
    try:
        model = core.read_model(path)
        return model, core.compile_model(model, "CPU", settings)
    except RuntimeError as error:
        raise unreadable(path, "openvino", error) from error


def layers(artifact: Path, manifest: Manifest, trace: LayerTrace) -> list[Layer]:
    """Time each layer by the runtime's performance counts, which have a resolution of one microsecond."""
    model, compiled = _compile(artifact / manifest.model_file, trace.options, traced=True)
    request = compiled.create_infer_request()
    macs, precisions = _macs(model, compiled), _precisions(compiled)

    def counts() -> list[Any]:
        request.infer([trace.batch])
        return list(request.get_profiling_info())

    # a layer that took less than the resolution counts as not run in that run, so which are run is settled beforehand
    runs = [counts() for _ in range(WARM_UP_RUNS)]
    executed = {each.node_name for run in runs for each in run if each.status.name == "EXECUTED"}

    def run() -> list[Layer]:
        return [
            replace(_layer(each), macs=macs.get(each.node_name), precision=precisions.get(each.node_name))
            for each in counts()
            if each.node_name in executed
        ]

    return typical_layers(run, trace.runs)


def _layer(count: Any) -> Layer:
    return Layer(count.node_name, count.node_type, count.exec_type, 1000 * count.real_time.total_seconds())


def _precisions(compiled: Any, kinds: Container[str] | None = None) -> dict[str, str]:
    """Return the precision that each executed layer, or each of ``kinds``, was compiled to compute in."""
    found = {}
    for layer in compiled.get_runtime_model().get_ops():
        info = layer.get_rt_info()
        kind = info["layerType"].astype(str) if "layerType" in info else ""
        if "runtimePrecision" in info and (kind in kinds if kinds is not None else kind):
            precision = info["runtimePrecision"].astype(str)
            found[layer.get_friendly_name()] = _NAMES.get(precision, precision)
    return found


def _macs(model: Any, compiled: Any) -> dict[str, int]:
    """Return the multiply-accumulates of the executed layers, by the layers of the model that each was made of."""
    named = {layer.get_friendly_name(): layer for layer in model.get_ops()}
    of_model = {name: _layer_macs(layer) for name, layer in named.items() if not name.startswith(RESAMPLING)}
    macs: dict[str, int] = {}
    for layer in compiled.get_runtime_model().get_ops():
        info = layer.get_rt_info()
        sources = info["originalLayersNames"].astype(str).split(",") if "originalLayersNames" in info else []
        total = sum(of_model.get(name, 0) for name in sources)
        if total and info["layerType"].astype(str) in _WEIGHTED:
            macs[layer.get_friendly_name()] = total
    return macs


def _layer_macs(layer: Any) -> int:
    kind = layer.get_type_name()
    if kind in ("Convolution", "GroupConvolution"):
        return convolution_macs(layer.input(1).get_shape(), layer.output(0).get_shape()[2:])
    if kind in ("ConvolutionBackpropData", "GroupConvolutionBackpropData"):
        return convolution_macs(layer.input(1).get_shape(), layer.input(0).get_shape()[2:])
    return 0


class OpenVinoSession:
    """One infer request of a compiled model."""

    def __init__(self, compiled: Any, version: str) -> None:
        self._compiled = compiled
        self._request = compiled.create_infer_request()
        self._version = version

    def run(self, batch: Frame) -> RawOutput:
        """Infer without copying the input; the output is copied, because the request reuses its buffer."""
        self._request.infer([batch], share_inputs=True, share_outputs=True)
        return np.array(self._request.get_output_tensor(0).data)

    def facts(self) -> Mapping[str, Any]:
        """Read the precision of every layer with weights from the model as it was compiled."""
        weighted = _precisions(self._compiled, _WEIGHTED)
        return {
            **executed_layers(each for each in weighted.items() if not each[0].startswith(RESAMPLING)),
            "versions": {"openvino": self._version, "numpy": np.__version__},
        }
