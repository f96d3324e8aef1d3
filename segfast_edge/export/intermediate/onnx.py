"""ONNX: a copy of the file that gives the last value of each layer as an output of its own, run by ONNX Runtime."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import onnx
import onnxruntime

from segfast_edge.contract.shared.images import Frame
from segfast_edge.export.intermediate import NETWORK, Intermediate

BETWEEN = ("QuantizeLinear", "DequantizeLinear")


def values(path: Path, batch: Frame) -> Sequence[Intermediate]:
    """Return the values; in an int8 file those before they are rounded."""
    model = onnx.load(path)
    known = {
        each.name: each.type.tensor_type.elem_type for each in onnx.shape_inference.infer_shapes(model).graph.value_info
    }
    last: dict[str, str] = {}
    for node in model.graph.node:
        layer = node.name.rpartition("/")[0]
        if layer and node.op_type not in BETWEEN and known.get(node.output[0]) == onnx.TensorProto.FLOAT:
            last[layer.removeprefix(NETWORK)] = node.output[0]
    for name in last.values():
        model.graph.output.append(onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None))
    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), settings, providers=["CPUExecutionProvider"])
    found: list[Any] = session.run(list(last.values()), {session.get_inputs()[0].name: batch})
    return [Intermediate(layer, value) for layer, value in zip(last, found, strict=True)]
