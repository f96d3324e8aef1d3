"""An ONNX file, read with the onnx package and its shape inference."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import onnx

from segfast_edge.inspection import ModelFile, Port, counted, total

Shape = tuple[int | str, ...]
CONVOLUTIONS = {"Conv", "ConvTranspose", "ConvInteger", "QLinearConv"}
PRODUCTS = {"MatMul", "Gemm", "MatMulInteger", "QLinearMatMul"}
WEIGHT = {"QLinearConv": 3, "QLinearMatMul": 3}  # the input with the weights, where it is not the second


def read(path: Path) -> ModelFile:
    """Read a file; weights that lie in files of their own are left there."""
    model = onnx.load(path, load_external_data=False)
    graph = onnx.shape_inference.infer_shapes(model).graph
    fixed = {each.name: each for each in graph.initializer}
    ports = {each.name: _port(each) for each in (*graph.input, *graph.value_info, *graph.output)}
    shapes: dict[str, Shape] = {name: port.shape for name, port in ports.items()}
    shapes |= {name: tuple(each.dims) for name, each in fixed.items()}
    makers = {name: node for node in graph.node for name in node.output}
    weighted = [node for node in graph.node if node.op_type in CONVOLUTIONS | PRODUCTS]
    return ModelFile(
        tuple(ports[each.name] for each in graph.input if each.name not in fixed),
        tuple(ports[each.name] for each in graph.output),
        counted(node.op_type for node in graph.node),
        total(_macs(node, shapes) for node in weighted),
        _weights(weighted, fixed, makers),
        {
            "producer": f"{model.producer_name} {model.producer_version}".strip(),
            "opset": {each.domain or "ai.onnx": each.version for each in model.opset_import},
            **{entry.key: entry.value for entry in model.metadata_props},
        },
    )


def _port(value: Any) -> Port:
    kind = value.type.tensor_type
    shape = tuple(each.dim_value if each.HasField("dim_value") else each.dim_param or "?" for each in kind.shape.dim)
    return Port(value.name, shape, str(onnx.helper.tensor_dtype_to_np_dtype(kind.elem_type)) if kind.elem_type else "?")


def _macs(node: Any, shapes: Mapping[str, Shape]) -> int | None:
    given, weights = shapes.get(node.input[0]), shapes.get(node.input[WEIGHT.get(node.op_type, 1)])
    result = shapes.get(node.output[0])
    if given is None or weights is None or result is None:
        return None
    if node.op_type in CONVOLUTIONS:
        extents = (*weights, *(given if node.op_type == "ConvTranspose" else result)[2:])
    else:
        transposed = any(each.name == "transB" and each.i for each in node.attribute)
        extents = (*result, weights[-1 if transposed or len(weights) == 1 else -2])
    numbers = [each for each in extents if isinstance(each, int)]
    return math.prod(numbers) if len(numbers) == len(extents) else None


def _weights(weighted: list[Any], fixed: Mapping[str, Any], makers: Mapping[str, Any]) -> dict[str, int]:
    """Count what is multiplied with, by type: int8 where it is stored so, behind whatever brings it back to float."""
    found: dict[str, int] = {}
    seen: set[str] = set()
    for node in weighted:
        name = node.input[WEIGHT.get(node.op_type, 1)]
        while name in makers and name not in fixed and makers[name].input:
            name = makers[name].input[0]
        if name in fixed and name not in seen:
            seen.add(name)
            kind = str(onnx.helper.tensor_dtype_to_np_dtype(fixed[name].data_type))
            found[kind] = found.get(kind, 0) + math.prod(fixed[name].dims)
    return found
