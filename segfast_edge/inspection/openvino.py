"""OpenVINO's intermediate representation, read by OpenVINO and not compiled."""

import math
from pathlib import Path
from typing import Any

import openvino

from segfast_edge.inspection import ModelFile, Port, counted, total

FORWARD = {"Convolution", "GroupConvolution"}
BACKWARD = {"ConvolutionBackpropData", "GroupConvolutionBackpropData"}
NO_STEPS = {"Constant", "Parameter", "Result"}
TYPES = {"f32": "float32", "f16": "float16", "bf16": "bfloat16", "i8": "int8", "u8": "uint8", "i4": "int4"}


def read(path: Path) -> ModelFile:
    """Read a file with the weights beside it."""
    model = openvino.Core().read_model(path)
    steps = [step for step in model.get_ops() if step.get_type_name() not in NO_STEPS]
    weighted = [step for step in steps if step.get_type_name() in FORWARD | BACKWARD | {"MatMul"}]
    weights: dict[str, int] = {}
    for step in weighted:
        source = step.input_value(1).get_node()
        while source.get_type_name() != "Constant" and source.get_input_size():
            source = source.input_value(0).get_node()
        if source.get_type_name() == "Constant":
            kind = source.get_element_type().get_type_name()
            weights[TYPES.get(kind, kind)] = weights.get(TYPES.get(kind, kind), 0) + math.prod(source.get_shape())
    return ModelFile(
        tuple(map(_port, model.inputs)),
        tuple(map(_port, model.outputs)),
        counted(step.get_type_name() for step in steps),
        total(map(_macs, weighted)),
        weights,
        _metadata(model),
    )


def _port(port: Any) -> Port:
    shape = tuple(each.get_length() if each.is_static else "?" for each in port.get_partial_shape())
    name = port.get_any_name() if port.get_names() else port.get_node().get_friendly_name()
    return Port(name, shape, str(port.get_element_type().to_dtype()))


def _macs(step: Any) -> int | None:
    given, weights, result = step.input(0), step.input(1), step.output(0)
    if any(each.get_partial_shape().is_dynamic for each in (given, weights, result)):
        return None
    if step.get_type_name() == "MatMul":
        inner = weights.get_shape()[-1 if step.get_attributes()["transpose_b"] else -2]
        return int(math.prod(result.get_shape()) * inner)
    spatial = (result if step.get_type_name() in FORWARD else given).get_shape()[2:]
    return int(math.prod(weights.get_shape()) * math.prod(spatial))


def _metadata(model: Any) -> dict[str, Any]:
    if not model.has_rt_info(["model_info"]):
        return {}
    info = model.get_rt_info(["model_info"]).value
    return {str(key): str(each) for key, each in info.items()}
