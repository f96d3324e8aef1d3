"""A network as a graph of torch operators with its weights, and the names to blame when one cannot be written."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from segfast_edge.contract.formats import format_named
from segfast_edge.errors import ConversionError
from segfast_edge.export.common.converter_errors import explained
from segfast_edge.export.common.converter_packages import another
from segfast_edge.export.common.reading import Reading


@dataclass(frozen=True, slots=True)
class Trace:
    """The operators of one network in order, the values that are fixed, and the one that comes in and goes out."""

    graph: fx.Graph
    constants: dict[fx.Node, torch.Tensor]
    input: fx.Node
    output: fx.Node


@dataclass(frozen=True, slots=True)
class Call:
    """One use of an operator: its name without overload, all arguments by name, and the layer it stands in."""

    node: fx.Node
    operator: str
    arguments: Mapping[str, Any]
    layer: str

    def __getitem__(self, argument: str) -> Any:
        return self.arguments[argument]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the (first) result, in torch's order."""
        return shape_of(self.node)

    def refused(self, why: str) -> ConversionError:
        """Return the error that names operator, layer and reason, and the ways round it."""
        return ConversionError(
            f"layer '{self.layer}': {self.operator} {why}. Our TFLite writer cannot express it."
            f" {another('tflite')}, or --converter {' or '.join(format_named('tflite').other_converters)}"
        )


class _Read(nn.Module):
    """A network, and what takes its logits out of its output."""

    def __init__(self, network: nn.Module, reading: Reading) -> None:
        super().__init__()
        self.network = network
        self._reading = reading

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self._reading(self.network(x))


def trace(network: nn.Module, example: torch.Tensor, reading: Reading | None = None) -> Trace:
    """Export an eval-mode network for one input shape, without in-place operators; ``reading`` takes its logits.

    Raises:
        ConversionError: it cannot be exported (control flow that depends on values, say), or has several outputs.
    """
    with explained("torch.export cannot export this network", another("tflite")), torch.no_grad():
        exported = torch.export.export(_Read(network, reading or Reading()), (example,)).run_decompositions({})
    signature = exported.graph_signature
    if len(signature.user_inputs) != 1 or len(signature.user_outputs) != 1:
        raise ConversionError(
            f"the network has {len(signature.user_inputs)} inputs and {len(signature.user_outputs)} outputs;"
            " one of each is supported"
        )
    stored = {**exported.state_dict, **exported.constants}
    sources = {
        **signature.inputs_to_parameters,
        **signature.inputs_to_buffers,
        **signature.inputs_to_lifted_tensor_constants,
    }
    nodes = {node.name: node for node in exported.graph.nodes}
    constants = {nodes[name]: stored[source].detach() for name, source in sources.items()}
    return Trace(exported.graph, constants, nodes[str(signature.user_inputs[0])], nodes[str(signature.user_outputs[0])])


def shape_of(node: fx.Node) -> tuple[int, ...]:
    """Return the shape of a node's (first) value, in torch's order."""
    value = node.meta["val"]
    first = value[0] if isinstance(value, tuple | list) else value
    return tuple(int(extent) for extent in first.shape)


def call_of(node: fx.Node) -> Call:
    """Read a node's operator and arguments, defaults filled in."""
    target = node.target
    stack = list(node.meta.get("nn_module_stack", {}).values())
    layer = (stack[-1][0] if stack else "").removeprefix("network").removeprefix(".") or "network"
    if not isinstance(target, torch._ops.OpOverload):
        return Call(node, getattr(target, "__name__", str(target)), {}, layer)
    namespace, _, name = target._schema.name.partition("::")
    arguments = {}
    for place, argument in enumerate(target._schema.arguments):
        if place < len(node.args):
            arguments[argument.name] = node.args[place]
        else:
            default = argument.default_value if argument.has_default_value() else None
            arguments[argument.name] = node.kwargs.get(argument.name, default)
    return Call(node, name if namespace == "aten" else f"{namespace}::{name}", arguments, layer)
