"""TFLite files through LiteRT, or through the older tflite_runtime if LiteRT does not serve the board."""

import platform
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from segfast_edge.contract.layer_times import Layer
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.masks import RawOutput
from segfast_edge.contract.shared.images import Frame
from targets.common.session import LayerTrace, Options, executed_layers, import_runtime, unreadable
from targets.common.trace import convolution_macs, typical_layers
from targets.engines._litert_trace import Event, Tracer

_WEIGHTED = {"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED"}
_XNNPACK_TYPES = {"F32": "float32", "F16": "float16", "QS8": "int8", "QU8": "uint8", "QD8": "int8"}
_XNNPACK_TYPE = re.compile(rf"\b({'|'.join(_XNNPACK_TYPES)})\b")
_HALF_MARK = b"reduced_precision_support"  # in files whose weights are float16
_HWCAP, _ASIMDHP = 16, 1 << 10  # Linux's number for an ARM processor's capabilities, and float16 arithmetic in them
_XNNPACK_WEIGHTED = ("Convolution", "Deconvolution", "Fully Connected")


def runtime() -> ModuleType:
    """Import the interpreter."""
    return import_runtime("litert")


def load(artifact: Path, manifest: Manifest, options: Options) -> "LiteRtSession":
    """Build the interpreter, with XNNPACK as it is by default, and allocate its tensors."""
    interpreter = runtime()
    path = artifact / manifest.model_file
    try:
        # by content: given a path it maps the file, and a failing card or a file cut short ends the process (SIGBUS)
        content = path.read_bytes()
        opened = interpreter.Interpreter(model_content=content, num_threads=options.thread_count)
        opened.allocate_tensors()
    except (OSError, ValueError, RuntimeError) as error:
        raise unreadable(path, "litert", error) from error
    half = _HALF_MARK in content and computes_in_float16()
    return LiteRtSession(opened, interpreter.__name__.partition(".")[0], half=half)


def computes_in_float16(auxiliary: Path = Path("/proc/self/auxv")) -> bool:
    """Say whether XNNPACK computes marked files in float16 here: on 64-bit ARM with float16 arithmetic."""
    if platform.machine() != "aarch64":
        return False
    try:
        content = auxiliary.read_bytes()
    except OSError:
        return False
    pairs = dict(struct.iter_unpack("QQ", content[: len(content) // 16 * 16]))
    return bool(pairs.get(_HWCAP, 0) & _ASIMDHP)


def layers(artifact: Path, manifest: Manifest, trace: LayerTrace) -> list[Layer]:
    """Time each layer as XNNPACK and TFLite executed it, in whole microseconds."""
    tracer = Tracer(artifact / manifest.model_file, trace.options.thread_count)
    weighted = load(artifact, manifest, trace.options).weighted_layers()

    def run() -> list[Layer]:
        events = tracer.run(trace.batch)
        places = [place for place, event in enumerate(events) if _is_weighted(event.kernel)]
        # XNNPACK keeps the order of the file's layers; where it also keeps their number, each is known by name
        known = dict(zip(places, weighted, strict=True)) if len(places) == len(weighted) else {}
        return [_layer(event, place, known.get(place)) for place, event in enumerate(events)]

    return typical_layers(run, trace.runs)


def _is_weighted(kernel: str) -> bool:
    return kernel in _WEIGHTED or kernel.startswith(_XNNPACK_WEIGHTED)


def _layer(event: Event, place: int, known: tuple[str, int] | None) -> Layer:
    kind = event.kernel.partition(" (")[0]
    name, macs = known or (f"{kind} {place}", None)
    return Layer(name, kind, event.kernel, event.microseconds / 1000, macs, _precision(event.kernel))


def _precision(kernel: str) -> str | None:
    """Return what XNNPACK says it computed in, the type of the values before that of the weights; else None.

    ``Convolution (NHWC, QS8, QC8W) IGEMM`` is int8, ``Fully Connected (NC, F32) GEMM`` float32. A kernel of TFLite's
    own says nothing, and is not delegated.
    """
    found = _XNNPACK_TYPE.search(kernel)
    return None if found is None else _XNNPACK_TYPES[found[1]]


class LiteRtSession:
    """One interpreter with its tensors allocated."""

    def __init__(self, interpreter: Any, package: str, *, half: bool = False) -> None:
        self._half = half
        self._interpreter = interpreter
        self._package = package
        self._input = interpreter.get_input_details()[0]["index"]
        self._output = interpreter.get_output_details()[0]["index"]

    def run(self, batch: Frame) -> RawOutput:
        """Copy the input in, invoke, copy the output out."""
        self._interpreter.set_tensor(self._input, batch)
        self._interpreter.invoke()
        return np.asarray(self._interpreter.get_tensor(self._output))

    def _weighted(self) -> list[Any]:
        # the one list of operators the interpreter offers; private by name in every release so far
        return [each for each in self._interpreter._get_ops_details() if each["op_name"] in _WEIGHTED]

    def weighted_layers(self) -> list[tuple[str, int]]:
        """Return output name and multiply-accumulates of each layer with weights, in the file's order."""
        tensors = {each["index"]: each for each in self._interpreter.get_tensor_details()}
        found = []
        for operator in self._weighted():
            output, weights = tensors[operator["outputs"][0]], tensors[operator["inputs"][1]]
            transposed = operator["op_name"] == "TRANSPOSE_CONV"
            spatial = tensors[operator["inputs"][2]]["shape"] if transposed else output["shape"]
            found.append((output["name"], convolution_macs(weights["shape"].tolist(), spatial.tolist()[1:-1])))
        return found

    def facts(self) -> Mapping[str, Any]:
        """Derive the precision from the type that flows into each layer with weights, which TFLite kernels follow."""
        from importlib.metadata import version  # 3 MB that a runner, which never asks, does without

        types = {tensor["index"]: np.dtype(tensor["dtype"]).name for tensor in self._interpreter.get_tensor_details()}
        names = {tensor["index"]: tensor["name"] for tensor in self._interpreter.get_tensor_details()}
        found = []
        for operator in self._weighted():
            place = 2 if operator["op_name"] == "TRANSPOSE_CONV" else 0  # its first input is the output's shape
            computed = types[operator["inputs"][place]]
            computed = "float16" if self._half and computed == "float32" else computed
            found.append((names[operator["outputs"][0]], computed))
        return {
            **executed_layers(found),
            "versions": {
                self._package.replace("_", "-"): version(self._package.replace("_", "-")),
                "numpy": np.__version__,
            },
        }
