"""Steps without weights on NHWC tensors, each adding one operator and returning what it gives."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from segfast_edge.export.tflite_writer import schema
from segfast_edge.export.tflite_writer.builder import GraphBuilder, Tensor
from segfast_edge.export.tflite_writer.window import Pair, Window

CHANNELS = 3  # the axis, NHWC
_BINARY = {  # operator -> its table of options; MAXIMUM and MINIMUM take no activation
    "ADD": "Add",
    "SUB": "Sub",
    "MUL": "Mul",
    "DIV": "Div",
    "MAXIMUM": "MaximumMinimum",
    "MINIMUM": "MaximumMinimum",
}
ALONG_LAST = ("SOFTMAX", "LOG_SOFTMAX")  # operators that shape and type tell from those that go element by element
LOWEST = float(np.finfo(np.float32).min)  # what maximum pooling pads with


def size(x: Tensor) -> Pair:
    """Height and width of a map."""
    return x.shape[1], x.shape[2]


def unary(graph: GraphBuilder, x: Tensor, operator: str, options: Any = None) -> Tensor:
    """Apply an operator that changes neither shape nor type."""
    if x.index in graph.transposed and operator not in ALONG_LAST:  # before the transposition, which may then cancel
        root, order = graph.transposed[x.index]
        return transpose(graph, unary(graph, root, operator, options), order)
    result = graph.tensor(x.shape, x.dtype)
    graph.operator(operator, [x], [result], options)
    return result


def binary(graph: GraphBuilder, operator: str, a: Tensor, b: Tensor, activation: str = "NONE") -> Tensor:
    """Combine two tensors that broadcast: ADD, SUB, MUL, DIV, MAXIMUM or MINIMUM."""
    order = _common_order(graph, a, b)
    if order is not None:
        a, b = (graph.transposed[x.index][0] if x.index in graph.transposed else x for x in (a, b))
        return transpose(graph, binary(graph, operator, a, b, activation), order)
    result = graph.tensor(np.broadcast_shapes(a.shape, b.shape), a.dtype)
    table = _BINARY[operator]
    if table == "MaximumMinimum":
        assert activation == "NONE"
        options = schema.options(table)
    else:
        options = schema.options(table, fusedActivationFunction=schema.activation(activation))
    graph.operator(operator, [a, b], [result], options)
    return result


def reshape(graph: GraphBuilder, x: Tensor, shape: Sequence[int]) -> Tensor:
    """Give the same elements in the same order another shape."""
    while x.index in graph.reshaped and tuple(shape) != x.shape:
        x = graph.reshaped[x.index]
    if tuple(shape) == x.shape:
        return x
    result = graph.tensor(shape, x.dtype)
    graph.reshaped[result.index] = x
    wanted = np.array(shape, np.int32)
    graph.operator(
        "RESHAPE", [x, graph.constant(wanted, "shape")], [result], schema.options("Reshape", newShape=wanted)
    )
    return result


def transpose(graph: GraphBuilder, x: Tensor, order: Sequence[int]) -> Tensor:
    """Give a tensor whose axis ``i`` is axis ``order[i]`` of x; transpositions one behind the other become one."""
    root, before = graph.transposed.get(x.index, (x, tuple(range(len(x.shape)))))
    whole = tuple(before[axis] for axis in order)
    if whole == tuple(sorted(whole)):
        return root
    shape = tuple(root.shape[axis] for axis in whole)
    moved = [axis for axis in whole if root.shape[axis] != 1]
    result = reshape(graph, root, shape) if moved == sorted(moved) else _transposed(graph, root, whole)
    if result.index > root.index:  # not a tensor from which the root was reshaped
        graph.transposed[result.index] = (root, whole)
    return result


def tile(graph: GraphBuilder, x: Tensor, times: Sequence[int]) -> Tensor:
    """Repeat a tensor along its axes."""
    if all(count == 1 for count in times):
        return x
    result = graph.tensor([extent * count for extent, count in zip(x.shape, times, strict=True)], x.dtype)
    graph.operator("TILE", [x, graph.constant(np.array(times, np.int32), "times")], [result], schema.options("Tile"))
    return result


def is_transposition_free(graph: GraphBuilder, x: Tensor, order: Sequence[int]) -> bool:
    """Return whether ``transpose`` would move no element."""
    root, before = graph.transposed.get(x.index, (x, tuple(range(len(x.shape)))))
    moved = [before[axis] for axis in order if root.shape[before[axis]] != 1]
    return moved == sorted(moved)


def _transposed(graph: GraphBuilder, x: Tensor, order: Sequence[int]) -> Tensor:
    """Add a TRANSPOSE over as few axes as will do: those that stay side by side count as one."""
    runs: list[list[int]] = []
    for axis in order:
        if x.shape[axis] == 1:
            continue
        if runs and all(x.shape[between] == 1 for between in range(runs[-1][-1] + 1, axis)) and axis > runs[-1][-1]:
            runs[-1].append(axis)
        else:
            runs.append([axis])
    inwards = sorted(runs)
    extents = [int(np.prod([x.shape[axis] for axis in run])) for run in inwards]
    moves = np.array([inwards.index(run) for run in runs], np.int32)
    flat = reshape(graph, x, extents)
    result = graph.tensor([extents[place] for place in moves], x.dtype)
    version = {5: 4, 6: 6}.get(len(moves), 1)
    graph.operator("TRANSPOSE", [flat, graph.constant(moves, "order")], [result], schema.options("Transpose"), version)
    return reshape(graph, result, [x.shape[axis] for axis in order])


def _common_order(graph: GraphBuilder, a: Tensor, b: Tensor) -> tuple[int, ...] | None:
    """Return the order in which both are transposed, or one is and the other is a single number."""
    orders = [graph.transposed[x.index][1] if x.index in graph.transposed else None for x in (a, b)]
    if orders[0] is not None and (orders[0] == orders[1] or all(extent == 1 for extent in b.shape)):
        return orders[0] if orders[1] in (None, orders[0]) else None
    return orders[1] if orders[0] is None and all(extent == 1 for extent in a.shape) else None


def pad(graph: GraphBuilder, x: Tensor, edges: Sequence[Pair], value: float = 0.0) -> Tensor:
    """Add ``edges`` (before, after) per axis, filled with ``value``."""
    if not any(before or after for before, after in edges):
        return x
    shape = [extent + before + after for extent, (before, after) in zip(x.shape, edges, strict=True)]
    result = graph.tensor(shape, x.dtype)
    amounts = graph.constant(np.array(edges, np.int32), "edges")
    if value == 0.0:  # the form that XNNPACK takes, and melts into a convolution behind it
        graph.operator("PAD", [x, amounts], [result], schema.options("Pad"))
    else:
        fill = graph.constant(np.array(value, np.float32), "fill")
        graph.operator("PADV2", [x, amounts, fill], [result], schema.options("PadV2"))
    return result


def pad_map(graph: GraphBuilder, x: Tensor, before: Pair, after: Pair, value: float = 0.0) -> Tensor:
    """Pad height and width of a map."""
    return pad(graph, x, [(0, 0), (before[0], after[0]), (before[1], after[1]), (0, 0)], value)


def crop(graph: GraphBuilder, x: Tensor, begin: Sequence[int], shape: Sequence[int]) -> Tensor:
    """Cut out the box of ``shape`` that starts at ``begin``."""
    if tuple(shape) == x.shape:
        return x
    result = graph.tensor(shape, x.dtype)
    places = [graph.constant(np.array(value, np.int32), role) for value, role in ((begin, "begin"), (shape, "size"))]
    graph.operator("SLICE", [x, *places], [result], schema.options("Slice"))
    return result


def crop_map(graph: GraphBuilder, x: Tensor, wanted: Pair, begin: Pair = (0, 0)) -> Tensor:
    """Cut ``wanted`` (height, width) out of a map."""
    return crop(graph, x, (0, *begin, 0), (x.shape[0], *wanted, x.shape[CHANNELS]))


def concatenate(graph: GraphBuilder, parts: Sequence[Tensor], axis: int = CHANNELS) -> Tensor:
    """Join tensors along an axis."""
    if len(parts) == 1:
        return parts[0]
    shape = list(parts[0].shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    result = graph.tensor(shape, parts[0].dtype)
    graph.operator("CONCATENATION", parts, [result], schema.options("Concatenation", axis=axis))
    return result


def split(graph: GraphBuilder, x: Tensor, count: int, axis: int = CHANNELS) -> list[Tensor]:
    """Cut a tensor into ``count`` equal parts along an axis."""
    shape = list(x.shape)
    shape[axis] //= count
    parts = [graph.tensor(shape, x.dtype) for _ in range(count)]
    graph.operator(
        "SPLIT", [graph.constant(np.int32(axis), "axis"), x], parts, schema.options("Split", numSplits=count)
    )
    return parts


def gather(graph: GraphBuilder, x: Tensor, order: npt.ArrayLike, axis: int = CHANNELS) -> Tensor:
    """Select elements along an axis by the indices in ``order``."""
    chosen = graph.constant(np.asarray(order, np.int32), "order")
    shape = list(x.shape)
    shape[axis] = chosen.shape[0]
    result = graph.tensor(shape, x.dtype)
    graph.operator("GATHER", [x, chosen], [result], schema.options("Gather", axis=axis))
    return result


def take(graph: GraphBuilder, x: Tensor, orders: Mapping[int, npt.ArrayLike]) -> Tensor:
    """Take places along several axes of the file, each by its own order."""
    for axis, order in orders.items():
        if not np.array_equal(np.asarray(order), np.arange(x.shape[axis])):
            x = gather(graph, x, order, axis)
    return x


def depth_to_space(graph: GraphBuilder, x: Tensor, block: int) -> Tensor:
    """Lay groups of channels out as blocks; channel ``(row * block + column) * depth + c`` goes to channel c there."""
    batch, height, width, depth = x.shape
    result = graph.tensor((batch, height * block, width * block, depth // block**2), x.dtype)
    graph.operator("DEPTH_TO_SPACE", [x], [result], schema.options("DepthToSpace", blockSize=block))
    return result


def space_to_depth(graph: GraphBuilder, x: Tensor, block: int) -> Tensor:
    """Undo ``depth_to_space``."""
    batch, height, width, depth = x.shape
    result = graph.tensor((batch, height // block, width // block, depth * block**2), x.dtype)
    graph.operator("SPACE_TO_DEPTH", [x], [result], schema.options("SpaceToDepth", blockSize=block))
    return result


def reduce(graph: GraphBuilder, x: Tensor, operator: str, axes: Sequence[int], *, keep: bool) -> Tensor:
    """Reduce axes by MEAN, SUM or REDUCE_MAX; with ``keep`` they stay with extent 1."""
    shape = [1 if axis in axes else extent for axis, extent in enumerate(x.shape) if keep or axis not in axes]
    result = graph.tensor(shape, x.dtype)
    where = graph.constant(np.array(sorted(axes), np.int32), "axes")
    graph.operator(operator, [x, where], [result], schema.options("Reducer", keepDims=keep))
    return result


def pool(graph: GraphBuilder, operator: str, x: Tensor, window: Window, activation: str = "NONE") -> Tensor:
    """Pool by MAX_POOL_2D or AVERAGE_POOL_2D if SAME or VALID stands for the window."""
    assert window.dilation == (1, 1)
    options = schema.options(
        "Pool2D",
        padding=padding_number(window, size(x)),
        strideH=window.stride[0],
        strideW=window.stride[1],
        filterHeight=window.kernel[0],
        filterWidth=window.kernel[1],
        fusedActivationFunction=schema.activation(activation),
    )
    result = graph.tensor((x.shape[0], *window.outputs, x.shape[CHANNELS]), x.dtype)
    graph.operator(operator, [x], [result], options)
    return result


def padding_number(window: Window, extent: Pair) -> int:
    """Return the schema's number for SAME or VALID, whichever stands for the window on a map of this size."""
    assert window.is_valid(extent) or window.is_same(extent), f"{window} on {extent} needs explicit padding"
    name = "VALID" if window.is_valid(extent) else "SAME"
    return int(getattr(schema.generated.Padding, name))


def placed(graph: GraphBuilder, x: Tensor, window: Window, value: float = 0.0) -> tuple[Tensor, Window]:
    """Pad a map if neither SAME nor VALID stands for the window; return both as they are then."""
    if window.is_valid(size(x)) or window.is_same(size(x)):
        return x, window
    padded = pad_map(graph, x, window.before, window.after(size(x)), value)
    return padded, Window(window.kernel, window.stride, window.dilation, (0, 0), window.outputs)
