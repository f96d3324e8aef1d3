"""A TFLite file, read by the classes that LiteRT's package generates from the public schema."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from segfast_edge.errors import ArtifactError
from segfast_edge.inspection import ModelFile, Port, counted, total

WEIGHTED = {"CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV", "FULLY_CONNECTED", "BATCH_MATMUL", "CONV_3D"}
TRANSPOSED = "TRANSPOSE_CONV"


def read(path: Path) -> ModelFile:
    """Read a file; of several graphs, the first is the one that runs."""
    content = path.read_bytes()
    if content[4:8] != b"TFL3":
        raise ArtifactError(f"{path} is not a TFLite file")
    model = schema.ModelT.InitFromPackedBuf(content)
    graph = model.subgraphs[0]
    names = _numbered(schema.BuiltinOperator)
    codes = [names[max(code.builtinCode, code.deprecatedBuiltinCode)] for code in model.operatorCodes]
    steps = [(codes[step.opcodeIndex], step) for step in graph.operators]
    weighted = [(name, step) for name, step in steps if name in WEIGHTED]
    weights: dict[str, int] = {}
    for index in {int(step.inputs[1]) for _, step in weighted}:
        tensor = graph.tensors[index]
        if model.buffers[tensor.buffer].data is not None:
            weights[_dtype(tensor)] = weights.get(_dtype(tensor), 0) + math.prod(_shape(tensor))
    return ModelFile(
        tuple(_port(graph.tensors[index]) for index in graph.inputs),
        tuple(_port(graph.tensors[index]) for index in graph.outputs),
        counted(name for name, _ in steps),
        total(_macs(name, step, graph.tensors) for name, step in weighted),
        weights,
        {"description": (model.description or b"").decode(errors="replace"), **dict(_metadata(model))},
    )


def _numbered(names: Any) -> dict[int, str]:
    return {number: name for name, number in vars(names).items() if isinstance(number, int)}


def _dtype(tensor: Any) -> str:
    return _numbered(schema.TensorType)[tensor.type].lower()


def _shape(tensor: Any) -> tuple[int, ...]:
    return () if tensor.shape is None else tuple(int(extent) for extent in tensor.shape)


def _port(tensor: Any) -> Port:
    signature = tensor.shapeSignature
    shape = _shape(tensor) if signature is None else tuple(int(each) if each >= 0 else "?" for each in signature)
    return Port(tensor.name.decode(errors="replace"), shape, _dtype(tensor))


def _macs(name: str, step: Any, tensors: Any) -> int | None:
    weights, result = _shape(tensors[step.inputs[1]]), tensors[step.outputs[0]]
    if result.shapeSignature is not None and min(result.shapeSignature, default=0) < 0:
        return None
    if name == "FULLY_CONNECTED":
        return math.prod(_shape(result)) * weights[-1]
    if name == "BATCH_MATMUL":
        return math.prod(_shape(result)) * weights[-1 if step.builtinOptions.adjY else -2]
    of = tensors[step.inputs[2]] if name == TRANSPOSED else result
    return math.prod(weights) * math.prod(_shape(of)[1:-1])


def _metadata(model: Any) -> Iterator[tuple[str, str]]:
    for entry in model.metadata or ():
        data = model.buffers[entry.buffer].data
        try:
            yield entry.name.decode(), b"".decode() if data is None else bytes(data).decode()
        except UnicodeDecodeError:
            yield entry.name.decode(errors="replace"), f"{len(data)} bytes"
