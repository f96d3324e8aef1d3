"""A TorchScript file, loaded by torch and not run."""

import math
from pathlib import Path
from typing import Any

import torch

from segfast_edge.inspection import EMBEDDED, ModelFile, Port, counted

NO_STEPS = ("prim::Constant", "prim::ListConstruct", "prim::TupleConstruct", "prim::GetAttr")


def read(path: Path) -> ModelFile:
    """Read a file; it does not fix the shapes in it, so that nothing can be counted of its cost."""
    extra = {EMBEDDED: ""}
    module = torch.jit.load(path, map_location="cpu", _extra_files=extra)
    graph = module.inlined_graph  # its nodes are only valid as long as it is held
    weights: dict[str, int] = {}
    for tensor in (*module.parameters(), *_constants(graph)):
        kind = str(tensor.dtype).removeprefix("torch.")
        if tensor.ndim > 1 and tensor.is_floating_point():
            weights[kind] = weights.get(kind, 0) + math.prod(tensor.shape)
    said = extra[EMBEDDED]
    return ModelFile(
        tuple(_port(each) for each in [*graph.inputs()][1:]),
        tuple(_port(each) for each in graph.outputs()),
        counted(node.kind() for node in graph.nodes() if node.kind() not in NO_STEPS),
        None,
        weights,
        {EMBEDDED: said if isinstance(said, str) else said.decode()} if said else {},
    )


def _constants(graph: Any) -> list[torch.Tensor]:
    nodes = graph.findAllNodes("prim::Constant")
    return [node.t("value") for node in nodes if node.hasAttribute("value") and node.kindOf("value") == "t"]


def _port(value: Any) -> Port:
    kind = value.type()
    sizes = kind.sizes() if kind.kind() == "TensorType" else None
    dtype = kind.dtype() if kind.kind() == "TensorType" else None
    return Port(value.debugName(), tuple(sizes or ("?",)), str(dtype or "?").removeprefix("torch."))
