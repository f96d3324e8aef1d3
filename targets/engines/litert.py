"""TFLite files through LiteRT, or through the older tflite_runtime where LiteRT does not serve the board."""

from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from segfast_edge.contract.images import Frame
from segfast_edge.contract.manifest import Manifest
from targets.common.session import Options, Output, import_runtime, refuse_precision, unreadable

FORMATS = ("tflite",)
PACKAGES = ("ai-edge-litert", "'tflite-runtime==2.14.0' 'numpy<2'")
MODULES = ("ai_edge_litert.interpreter", "tflite_runtime.interpreter")

_WEIGHTED = {"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"}


def runtime() -> ModuleType:
    """Import the interpreter."""
    return import_runtime(MODULES, PACKAGES)


def load(artifact: Path, manifest: Manifest, options: Options) -> "LiteRtSession":
    """Build the interpreter, with XNNPACK as it is by default, and allocate its tensors."""
    refuse_precision("litert", options)
    interpreter = runtime()
    path = artifact / manifest.model_file
    try:
        opened = interpreter.Interpreter(model_path=str(path), num_threads=options.thread_count)
        opened.allocate_tensors()
    except (ValueError, RuntimeError) as error:
        raise unreadable(path, "litert", error) from error
    return LiteRtSession(opened, interpreter.__name__.partition(".")[0])


class LiteRtSession:
    """One interpreter with its tensors allocated."""

    def __init__(self, interpreter: Any, package: str) -> None:
        self._interpreter = interpreter
        self._package = package
        self._input = interpreter.get_input_details()[0]["index"]
        self._output = interpreter.get_output_details()[0]["index"]

    def run(self, batch: Frame) -> Output:
        """Copy the input in, invoke, copy the output out."""
        self._interpreter.set_tensor(self._input, batch)
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output))

    def facts(self) -> Mapping[str, Any]:
        """Tell the precision from the type of what flows into each layer with weights, which TFLite kernels follow."""
        types = {tensor["index"]: np.dtype(tensor["dtype"]).name for tensor in self._interpreter.get_tensor_details()}
        counts: Counter[str] = Counter()
        # the one list of operators the interpreter offers; private by name in every release so far
        for operator in self._interpreter._get_ops_details():
            if operator["op_name"] in _WEIGHTED:
                place = 2 if operator["op_name"] == "TRANSPOSE_CONV" else 0  # its first input is the output's shape
                counts[types[operator["inputs"][place]]] += 1
        return {
            "executed_precision": "+".join(sorted(counts)) or "none",
            "layer_precisions": dict(counts),
            "versions": {
                self._package.replace("_", "-"): version(self._package.replace("_", "-")),
                "numpy": np.__version__,
            },
        }
