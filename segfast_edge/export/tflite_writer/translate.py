"""From a trace in torch's NCHW to a TFLite graph in NHWC, operator by operator."""

import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import fx

from segfast_edge.errors import ConversionError
from segfast_edge.export.tflite_writer import schema, weightless
from segfast_edge.export.tflite_writer.builder import GraphBuilder, Tensor
from segfast_edge.export.tflite_writer.torch_trace import Call, Trace, call_of
from segfast_edge.export.tflite_writer.weighted import Array

_NHWC = (0, 2, 3, 1)  # N, C, H and W as maps are stored
_NCHW = (0, 3, 1, 2)


@dataclass(frozen=True, slots=True)
class Positions:
    """The places of the maxima in ``source``, which pooling passes to unpooling."""

    source: Tensor


Value = Tensor | Positions | tuple["Tensor | Positions", ...]
Writer = Callable[["Translation", Call], Value]


class Translation:
    """The state of a translation: the file being built, the values known so far, and what may be fused."""

    def __init__(self, graph: GraphBuilder, trace: Trace, lowering: str) -> None:
        self.graph = graph
        self.lowering = lowering
        self._trace = trace
        self._constants = dict(trace.constants)
        self._values: dict[fx.Node, Value] = {}
        self._absorbed: dict[fx.Node, list[fx.Node]] = {}  # operator -> its readers written as part of it

    def run(self, writers: Mapping[str, Writer], incoming: Tensor) -> Tensor:
        """Write every operator behind ``incoming`` (NHWC) and return the network's output (NHWC).

        Raises:
            ConversionError: an operator has no writer, or its writer refuses.
        """
        self._values[self._trace.input] = incoming
        for node in self._trace.graph.nodes:
            if node.op == "call_function" and node.users and node not in self._values:
                self._visit(node, writers)
        return self.tensor(self._trace.output)

    def tensor(self, value: Any) -> Tensor:
        """Return a node's NHWC tensor, or a constant for fixed values and plain numbers."""
        known = self._values.get(value) if isinstance(value, fx.Node) else None
        if isinstance(known, Tensor):
            return known
        if known is not None:
            raise call_of(value).refused("returns indices, which only max_unpool2d can use")
        return self.operand(value, 0)

    def operand(self, value: Any, rank: int) -> Tensor:
        """Return what ``tensor`` does, with extents of 1 put in front (in torch's order) up to ``rank``."""
        if not self.is_constant(value):
            x = self.tensor(value)
            if len(x.shape) in (0, rank):
                return x
            x = self.from_stored(x)
            return self.stored(weightless.reshape(self.graph, x, (1,) * (rank - len(x.shape)) + x.shape))
        array = self._finite(value) if isinstance(value, fx.Node) else np.array(value, np.float32)
        array = array.reshape((1,) * (rank - array.ndim) + array.shape)
        return self.graph.constant(array.transpose(0, 2, 3, 1) if array.ndim == 4 else array, "value")

    def axis(self, axis: int, rank: int) -> int:
        """Return where an axis that torch counts lies in the file: maps are stored as NHWC, all else as in torch."""
        return _NHWC.index(axis % rank) if rank == 4 else axis % rank

    def stored(self, x: Tensor) -> Tensor:
        """Return a tensor in torch's order as it is stored."""
        return weightless.transpose(self.graph, x, _NHWC) if len(x.shape) == 4 else x

    def from_stored(self, x: Tensor) -> Tensor:
        """Undo ``stored``."""
        return weightless.transpose(self.graph, x, _NCHW) if len(x.shape) == 4 else x

    def in_torch_order(self, value: Any) -> Tensor:
        """Return a node's tensor in torch's order."""
        return self.from_stored(self.tensor(value))

    def viewed(self, x: Tensor, shape: Sequence[int]) -> Tensor:
        """Return, as it is stored, what a tensor in torch's order is in another shape.

        If channels, or height and width, keep their extents, they may stay where they lie.
        """
        shape = tuple(shape)
        ways = list(_ways(x.shape, shape))
        free = [way for way in ways if weightless.is_transposition_free(self.graph, x, way[0])]
        before, after = free[0] if free else ways[-1 if len(shape) == 4 else 0]  # the last way ends as maps are stored
        moved = weightless.reshape(
            self.graph, weightless.transpose(self.graph, x, before), [shape[axis] for axis in after]
        )
        return self.stored(weightless.transpose(self.graph, moved, [after.index(axis) for axis in range(len(shape))]))

    def number(self, x: Tensor) -> Tensor:
        """Return truth values as ones and zeros, and numbers as they are."""
        if x.dtype != np.bool_:
            return x
        result = self.graph.tensor(x.shape)
        kinds = [schema.element_type(np.dtype(kind)) for kind in (np.bool_, np.float32)]
        options = schema.options("Cast", inDataType=kinds[0], outDataType=kinds[1])
        self.graph.operator("CAST", [x], [result], options)
        return result

    def scaled(self, x: Tensor, factor: float) -> Tensor:
        """Return a multiple of a tensor, or the tensor itself for a factor of 1."""
        return x if factor == 1 else weightless.binary(self.graph, "MUL", x, self.operand(factor, len(x.shape)))

    def fixed(self, node: fx.Node) -> npt.NDArray[Any]:
        """Return a node's fixed values as they are, of any type."""
        if node not in self._constants:
            raise call_of(node).refused("computes an index, size or shape from the picture, which must be fixed")
        return np.asarray(self._constants[node].detach().cpu().numpy())

    def positions(self, node: fx.Node) -> Positions | None:
        """Return where the maxima were, or None if the node is nothing of that kind."""
        known = self._values.get(node)
        return known if isinstance(known, Positions) else None

    def is_constant(self, value: Any) -> bool:
        """Whether a value is fixed."""
        return not isinstance(value, fx.Node) or value in self._constants

    def array(self, node: fx.Node) -> Array:
        """Return a node's fixed values in torch's order.

        Raises:
            ConversionError: they are computed from the input, or hold NaN or infinity.
        """
        if node not in self._constants:
            raise call_of(node).refused("computes weights from the picture, which must be fixed")
        values = self._constants[node].to(torch.float32)
        if not bool(torch.isfinite(values).all()):
            raise ConversionError(f"weight '{node.name}' holds NaN or infinity; train again from an earlier checkpoint")
        return np.ascontiguousarray(values.numpy())

    def _finite(self, node: fx.Node) -> Array:
        """Return fixed values that are added or multiplied; a mask's infinity becomes the largest number there is."""
        values = self._constants[node].to(torch.float32)
        if bool(torch.isnan(values).any()):
            raise ConversionError(f"the fixed values '{node.name}' hold NaN")
        return np.ascontiguousarray(values.clamp(weightless.LOWEST, -weightless.LOWEST).numpy())

    def optional_array(self, node: fx.Node | None, count: int, default: float = 0.0) -> Array:
        """Return a node's fixed values, or ``count`` times ``default`` if there is no node."""
        return np.full(count, default, np.float32) if node is None else self.array(node)

    def fused_activation(self, call: Call, into: Call | None = None) -> str:
        """Take over the activation that alone reads a result, if one does, and return its name or NONE.

        ``into`` is the call whose writer asks, if that is not ``call`` itself.
        """
        reader = only_reader(call.node)
        name = activation_of(reader) if reader is not None else None
        if reader is None or name is None:
            return "NONE"
        self.absorb(reader, into or call)
        return name

    def absorb(self, reader: Call, into: Call) -> None:
        """Say that the result of ``into`` will be that of ``reader``; nothing else may read what is between."""
        self._absorbed.setdefault(into.node, []).append(reader.node)

    def _visit(self, node: fx.Node, writers: Mapping[str, Writer]) -> None:
        if node.target is operator.getitem:
            several = self._values[node.args[0]]  # type: ignore[index]  # a getitem's first argument is a node
            assert isinstance(several, tuple)
            number: int = node.args[1]  # type: ignore[assignment]  # and its second a number
            if number >= len(several):
                raise call_of(node.args[0]).refused("also returns indices")  # type: ignore[arg-type]
            self._values[node] = several[number]
            return
        if all(source in self._constants for source in node.all_input_nodes):
            known = self._constants
            arguments, options = fx.map_arg((node.args, node.kwargs), lambda source: known[source])
            self._constants[node] = node.target(*arguments, **options)  # type: ignore[operator]  # a call_function
            return
        call = call_of(node)
        writer = writers.get(call.operator.strip("_"))
        if writer is None:
            raise call.refused("is not covered")
        self.graph.scope = f"{call.layer}/{call.operator.strip('_')}"
        result = writer(self, call)
        for solved in (node, *self._absorbed.get(node, ())):
            self._values[solved] = result


def _ways(before: tuple[int, ...], after: tuple[int, ...]) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Give orders of the axes of both shapes between which only the shape differs."""
    old, new = len(before), len(after)
    yield tuple(range(old)), tuple(range(new))
    if min(old, new) >= 2 and before[:2] == after[:2]:  # channels last
        yield (0, *range(2, old), 1), (0, *range(2, new), 1)
    if min(old, new) >= 3 and before[0] == after[0] and before[-2:] == after[-2:]:  # height and width before channels
        yield (0, old - 2, old - 1, *range(1, old - 2)), (0, new - 2, new - 1, *range(1, new - 2))


def activation_of(call: Call) -> str | None:
    """Return the fused form of an activation: RELU, RELU6, RELU_N1_TO_1, or None if there is none."""
    match call.operator:
        case "relu":
            return "RELU"
        case "relu6":
            return "RELU6"
        case "hardtanh":
            limits = call["min_val"], call["max_val"]
        case "clamp":
            limits = call["min"], call["max"]
        case "clamp_min":
            limits = call["min"], None
        case _:
            return None
    return {(0, None): "RELU", (0, 6): "RELU6", (-1, 1): "RELU_N1_TO_1"}.get(limits)


def reader_past_activations(node: fx.Node) -> Call | None:
    """Return the one call that reads a result, skipping activations that treat all channels alike."""
    reader = only_reader(node)
    if reader is None or activation_of(reader) is None:
        return reader
    return reader_past_activations(reader.node)


def writer_before_activations(node: fx.Node) -> Call | None:
    """Return the call that gave a value, skipping activations that nothing else reads."""
    if node.op != "call_function" or len(node.users) != 1:
        return None
    call = call_of(node)
    return call if activation_of(call) is None else writer_before_activations(call["self"])


def only_reader(node: fx.Node) -> Call | None:
    """Return the one call that reads a result, or None if there are others or it is the output."""
    readers = list(node.users)
    return call_of(readers[0]) if len(readers) == 1 and readers[0].op == "call_function" else None
