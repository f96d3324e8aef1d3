"""OpenVINO on a CPU, in float32 unless asked: its own default is bfloat16 where the CPU has it."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from segfast_edge.contract.images import Frame
from segfast_edge.contract.manifest import Manifest
from targets.common.session import Options, Output, import_runtime, unreadable

FORMATS = ("openvino", "onnx")
PACKAGES = ("openvino",)
MODULES = ("openvino",)

_NAMES = {"f32": "float32", "bf16": "bfloat16", "f16": "float16", "i8": "int8", "u8": "int8"}
_WEIGHTED = {"Convolution", "Deconvolution", "FullyConnected", "MatMul"}  # the layers that cost time


def runtime() -> ModuleType:
    """Import openvino."""
    return import_runtime(MODULES, PACKAGES)


def load(artifact: Path, manifest: Manifest, options: Options) -> "OpenVinoSession":
    """Compile the model for lowest latency with a fixed number of threads."""
    openvino = runtime()
    path = artifact / manifest.model_file
    settings = {
        "INFERENCE_PRECISION_HINT": options.precision or "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": options.thread_count,
    }
    core = openvino.Core()
    try:
        return OpenVinoSession(core.compile_model(core.read_model(path), "CPU", settings), openvino.__version__)
    except RuntimeError as error:
        raise unreadable(path, "openvino", error) from error


class OpenVinoSession:
    """One infer request of a compiled model."""

    def __init__(self, compiled: Any, version: str) -> None:
        self._compiled = compiled
        self._request = compiled.create_infer_request()
        self._version = version

    def run(self, batch: Frame) -> Output:
        """Infer without copying the input; the output is copied, because the request reuses its buffer."""
        self._request.infer([batch], share_inputs=True, share_outputs=True)
        return np.array(self._request.get_output_tensor(0).data)

    def facts(self) -> Mapping[str, Any]:
        """Read the precision of every layer with weights from the model as it was compiled."""
        counts: Counter[str] = Counter()
        for layer in self._compiled.get_runtime_model().get_ops():
            info = layer.get_rt_info()
            if "layerType" in info and info["layerType"].astype(str) in _WEIGHTED:
                precision = info["runtimePrecision"].astype(str)
                counts[_NAMES.get(precision, precision)] += 1
        return {
            "executed_precision": "+".join(sorted(counts)) or "none",
            "layer_precisions": dict(counts),
            "versions": {"openvino": self._version, "numpy": np.__version__},
        }
