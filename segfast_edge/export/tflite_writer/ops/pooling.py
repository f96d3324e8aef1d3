"""Pooling and means."""

import itertools

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import fx

from segfast_edge.export.tflite_writer import weightless
from segfast_edge.export.tflite_writer.builder import Tensor
from segfast_edge.export.tflite_writer.linear_map import apply_separable, probe
from segfast_edge.export.tflite_writer.torch_trace import Call, call_of
from segfast_edge.export.tflite_writer.translate import Positions, Translation
from segfast_edge.export.tflite_writer.weighted import Array
from segfast_edge.export.tflite_writer.window import Pair, Window, pair

_GIVES_NO_NEGATIVES = ("relu", "relu6", "sigmoid", "hardsigmoid", "softmax", "abs", "exp")
_KEEPS_SIGN = ("max_pool2d", "avg_pool2d", "clone", "dropout", "alias")


def max_pool2d(t: Translation, call: Call) -> Tensor:
    """The largest value in each window; what lies outside the map never wins."""
    x, window = t.tensor(call["self"]), _window(call)
    if window.dilation != (1, 1):
        raise call.refused(f"with dilation {window.dilation}")
    outside = 0.0 if _has_no_negatives(call["self"]) else weightless.LOWEST
    padded, window = weightless.placed(t.graph, x, window, outside)
    return weightless.pool(t.graph, "MAX_POOL_2D", padded, window, t.fused_activation(call))


def max_pool2d_with_indices(t: Translation, call: Call) -> tuple[Tensor, Positions]:
    """The largest values, and where they were: the latter is left to the unpooling that reads it."""
    return max_pool2d(t, call), Positions(t.tensor(call["self"]))


def avg_pool2d(t: Translation, call: Call) -> Tensor:
    """The mean of each window, over what torch counts into it."""
    x, window = t.tensor(call["self"]), _window(call)
    if window.kernel == weightless.size(x) and window.is_valid(weightless.size(x)) and not call["divisor_override"]:
        return weightless.reduce(t.graph, x, "MEAN", (1, 2), keep=True)
    padded, placed = weightless.placed(t.graph, x, window)
    means = weightless.pool(t.graph, "AVERAGE_POOL_2D", padded, placed)
    correction = _mean_correction(call, weightless.size(x), weightless.size(padded), placed)
    if np.allclose(correction, 1):
        return means
    return weightless.binary(t.graph, "MUL", means, t.graph.constant(correction, "correction"))


def adaptive_avg_pool2d(t: Translation, call: Call) -> Tensor:
    """Means over a grid of cells that covers the map, overlapping if its size does not divide."""
    x = t.tensor(call["self"])
    size, wanted = weightless.size(x), (call.shape[2], call.shape[3])
    if wanted == size:
        return x
    if wanted == (1, 1):
        return weightless.reduce(t.graph, x, "MEAN", (1, 2), keep=True)
    down, right = (_regular_cells(extent, count) for extent, count in zip(size, wanted, strict=True))
    if down is not None and right is not None:
        window = Window((down[0], right[0]), (down[1], right[1]), (1, 1), (0, 0), wanted)
        return weightless.pool(t.graph, "AVERAGE_POOL_2D", x, window)
    rows = probe(lambda row: F.adaptive_avg_pool2d(row, (wanted[0], 1)), size[0])
    columns = probe(lambda row: F.adaptive_avg_pool2d(row, (wanted[1], 1)), size[1])
    return apply_separable(t.graph, x, rows, columns)


def adaptive_max_pool2d(t: Translation, call: Call) -> tuple[Tensor]:
    """The largest value of the whole map, of each row or of each column."""
    x = t.tensor(call["self"])
    axes = [1 + axis for axis in (0, 1) if call.shape[2 + axis] != x.shape[1 + axis]]
    if any(call.shape[1 + axis] != 1 for axis in axes):
        raise call.refused(f"to {call.shape[2:]} of {weightless.size(x)}")
    return (weightless.reduce(t.graph, x, "REDUCE_MAX", axes, keep=True),)


def _window(call: Call) -> Window:
    kernel = pair(call["kernel_size"])
    stride = pair(call["stride"]) if call["stride"] else kernel
    dilation = pair(call.arguments.get("dilation", 1))
    return Window(kernel, stride, dilation, pair(call["padding"]), (call.shape[2], call.shape[3]))


def _has_no_negatives(node: fx.Node) -> bool:
    if node.op != "call_function":
        return False
    call = call_of(node)
    if call.operator in _KEEPS_SIGN:
        return _has_no_negatives(call["self"])
    return call.operator in _GIVES_NO_NEGATIVES


def _mean_correction(call: Call, size: Pair, padded: Pair, placed: Window) -> Array:
    """Return what each mean is multiplied by, 1 x H x W x 1.

    Ones come out of torch's pooling as the part of its divisor that lies inside the map. TFLite's SAME divides by
    that part alone, VALID on a padded map by the whole window.
    """
    arguments = [call[name] for name in ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad")]
    ones = torch.ones(1, 1, *size)
    theirs = torch.ops.aten.avg_pool2d.default(ones, *arguments, call["divisor_override"])[0, 0].numpy()
    ours = np.ones(placed.outputs)
    if padded != size:
        before = pair(call["padding"])
        rows, columns = (_inside(size[axis], before[axis], placed, axis) for axis in (0, 1))
        ours = rows[:, None] * columns[None, :] / (placed.kernel[0] * placed.kernel[1])
    factor = np.divide(theirs, ours, out=np.ones(placed.outputs), where=ours > 0)
    return np.asarray(factor[None, :, :, None], np.float32)


def _inside(extent: int, before: int, placed: Window, axis: int) -> npt.NDArray[np.int64]:
    """Return how many rows or columns of the map itself each place of the window covers."""
    first = np.arange(placed.outputs[axis]) * placed.stride[axis] - before
    last = np.minimum(first + placed.kernel[axis], extent)
    return np.asarray(np.maximum(0, last - np.maximum(first, 0)), np.int64)


def _regular_cells(extent: int, count: int) -> Pair | None:
    """Return (length, step) if all cells of an adaptive pooling are alike along an axis."""
    begins = [cell * extent // count for cell in range(count)]
    lengths = {-(-(cell + 1) * extent // count) - begins[cell] for cell in range(count)}
    steps = {after - before for before, after in itertools.pairwise(begins)} or {extent}
    if len(lengths) > 1 or len(steps) > 1:
        return None
    length, step = lengths.pop(), steps.pop()
    return (length, step) if (extent - length) // step + 1 == count else None
