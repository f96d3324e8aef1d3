"""Axes exchanged, repeated, taken apart, turned round and chosen from."""

from collections.abc import Sequence

import numpy as np

from segfast_edge.export.tflite_writer import weightless
from segfast_edge.export.tflite_writer.builder import Tensor
from segfast_edge.export.tflite_writer.torch_trace import Call, shape_of
from segfast_edge.export.tflite_writer.translate import Translation


def permute(t: Translation, call: Call) -> Tensor:
    """Axes in another order."""
    x = t.in_torch_order(call["self"])
    return t.stored(weightless.transpose(t.graph, x, [axis % len(x.shape) for axis in call["dims"]]))


def transpose(t: Translation, call: Call) -> Tensor:
    """Two axes exchanged."""
    rank = len(call.shape)
    order = list(range(rank))
    first, second = call["dim0"] % rank, call["dim1"] % rank
    order[first], order[second] = second, first
    return t.stored(weightless.transpose(t.graph, t.in_torch_order(call["self"]), order))


def t(translation: Translation, call: Call) -> Tensor:
    """Rows and columns exchanged."""
    order = tuple(reversed(range(len(call.shape))))
    return weightless.transpose(translation.graph, translation.in_torch_order(call["self"]), order)


def expand(t: Translation, call: Call) -> Tensor:
    """Axes of extent 1 repeated."""
    wide = t.operand(call["self"], len(call.shape))
    before = t.from_stored(wide).shape
    return _repeated(t, wide, [wanted // extent for wanted, extent in zip(call.shape, before, strict=True)])


def repeat(t: Translation, call: Call) -> Tensor:
    """The whole tensor repeated along its axes."""
    return _repeated(t, t.operand(call["self"], len(call.shape)), call["repeats"])


def stack(t: Translation, call: Call) -> Tensor:
    """Tensors side by side along a new axis."""
    rank = len(call.shape)
    axis = call["dim"] % rank
    shape = (*call.shape[:axis], 1, *call.shape[axis + 1 :])
    parts = [t.viewed(t.in_torch_order(part), shape) for part in call["tensors"]]
    return weightless.concatenate(t.graph, parts, t.axis(axis, rank))


def unbind(t: Translation, call: Call) -> tuple[Tensor, ...]:
    """One tensor for each place along an axis."""
    extent = shape_of(call["self"])[call["dim"]]
    return tuple(_place(t, call, number) for number in range(extent))


def select(t: Translation, call: Call) -> Tensor:
    """One place along an axis."""
    return _place(t, call, call["index"])


def flip(t: Translation, call: Call) -> Tensor:
    """Some axes turned round."""
    rank = len(call.shape)
    orders = {t.axis(axis, rank): np.arange(call.shape[axis])[::-1] for axis in call["dims"]}
    return weightless.take(t.graph, t.tensor(call["self"]), orders)


def roll(t: Translation, call: Call) -> Tensor:
    """Some axes moved on, what leaves at the end coming in at the beginning."""
    if not call["dims"]:
        raise call.refused("over all axes at once")
    rank = len(call.shape)
    shifts = zip(call["dims"], call["shifts"], strict=True)
    orders = {t.axis(axis, rank): np.roll(np.arange(call.shape[axis]), by) for axis, by in shifts}
    return weightless.take(t.graph, t.tensor(call["self"]), orders)


def index_select(t: Translation, call: Call) -> Tensor:
    """Fixed places along an axis."""
    axis = t.axis(call["dim"], len(call.shape))
    return weightless.take(t.graph, t.tensor(call["self"]), {axis: t.fixed(call["index"])})


def _repeated(t: Translation, x: Tensor, times: Sequence[int]) -> Tensor:
    """Repeat a stored tensor along the axes that torch counts."""
    rank = len(times)
    in_file = sorted(range(rank), key=lambda axis: t.axis(axis, rank))
    return weightless.tile(t.graph, x, [times[axis] for axis in in_file])


def _place(t: Translation, call: Call, number: int) -> Tensor:
    x = t.tensor(call["self"])
    rank = len(x.shape)
    axis = t.axis(call["dim"], rank)
    begin: list[int] = [0] * rank
    shape: Sequence[int] = [1 if place == axis else extent for place, extent in enumerate(x.shape)]
    begin[axis] = number % x.shape[axis]
    kept = t.from_stored(weightless.crop(t.graph, x, begin, shape))
    along = call["dim"] % rank
    return t.viewed(kept, kept.shape[:along] + kept.shape[along + 1 :])
