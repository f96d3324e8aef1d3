"""Moving values without computing: joining, cutting, padding, reshaping, and between channels and places."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from segfast_edge.export.tflite_writer import weightless
from segfast_edge.export.tflite_writer.builder import Tensor
from segfast_edge.export.tflite_writer.torch_trace import Call
from segfast_edge.export.tflite_writer.translate import Translation, writer_before_activations


def cat(t: Translation, call: Call) -> Tensor:
    """Tensors side by side along an axis."""
    rank = len(call.shape)
    parts = [t.operand(part, rank) for part in call["tensors"]]
    return weightless.concatenate(t.graph, parts, t.axis(call["dim"], rank))


def slice_(t: Translation, call: Call) -> Tensor:
    """A run of rows, columns or channels, or every so many of them."""
    x = t.tensor(call["self"])
    axis = t.axis(call["dim"], len(x.shape))
    first, last, step = slice(call["start"], call["end"], call["step"]).indices(x.shape[axis])
    if step == 1:
        return _run(t, x, axis, first, last - first)
    return weightless.take(t.graph, x, {axis: np.arange(first, last, step)})


def narrow(t: Translation, call: Call) -> Tensor:
    """A run of rows, columns or channels, by its length."""
    x = t.tensor(call["self"])
    axis = t.axis(call["dim"], len(x.shape))
    return _run(t, x, axis, call["start"] % x.shape[axis], call["length"])


def split(t: Translation, call: Call) -> tuple[Tensor, ...]:
    """Runs of equal length along an axis; the last may be shorter."""
    x = t.tensor(call["self"])
    extent = x.shape[t.axis(call["dim"], len(x.shape))]
    length = call["split_size"]
    lengths = [min(length, extent - first) for first in range(0, extent, length)]
    return _runs(t, x, call["dim"], lengths)


def split_with_sizes(t: Translation, call: Call) -> tuple[Tensor, ...]:
    """Runs of given lengths along an axis."""
    return _runs(t, t.tensor(call["self"]), call["dim"], call["split_sizes"])


def pad(t: Translation, call: Call) -> Tensor:
    """A border of a fixed value, or of what the tensor itself has; a negative width cuts."""
    x = t.tensor(call["self"])
    rank, widths = len(x.shape), list(call["pad"])
    mode = call.arguments.get("mode", "constant")
    edges = [(0, 0)] * rank
    for place in range(len(widths) // 2):  # torch counts from the last axis
        edges[t.axis(rank - 1 - place, rank)] = (widths[2 * place], widths[2 * place + 1])
    for axis, (before, after) in enumerate(edges):
        first, cut = max(0, -before), max(0, -after)
        x = _run(t, x, axis, first, x.shape[axis] - first - cut)
    wider = [(max(0, before), max(0, after)) for before, after in edges]
    if mode == "constant":
        return weightless.pad(t.graph, x, wider, float(call["value"] or 0.0))
    how: Any = {"reflect": "reflect", "replicate": "edge", "circular": "wrap"}[mode]
    orders = {axis: np.pad(np.arange(x.shape[axis]), edge, how) for axis, edge in enumerate(wider)}
    return weightless.take(t.graph, x, orders)


def clone(t: Translation, call: Call) -> Tensor:
    """The same tensor."""
    return t.tensor(call["self"])


def dropout(t: Translation, call: Call) -> Tensor:
    """The same tensor: nothing is dropped outside training."""
    return t.tensor(call["input"])


def to_copy(t: Translation, call: Call) -> Tensor:
    """The same tensor, or truth values as ones and zeros."""
    if not call.node.meta["val"].dtype.is_floating_point:
        raise call.refused(f"to {call.node.meta['val'].dtype}")
    return t.number(t.tensor(call["self"]))


def view(t: Translation, call: Call) -> Tensor:
    """Another shape for the same elements."""
    return t.viewed(t.in_torch_order(call["self"]), call.shape)


reshape = unsafe_view = flatten = unflatten = unsqueeze = squeeze = view
constant_pad_nd, to = pad, to_copy
alias = contiguous = clone


def pixel_shuffle(t: Translation, call: Call) -> Tensor:
    """Channels to places; torch has a channel's block together, TFLite has the channels together."""
    x, block = t.tensor(call["self"]), call["upscale_factor"]
    source = writer_before_activations(call["self"])
    if source is None or source.operator != "conv2d" or source["groups"] != 1:  # else its weights are in order already
        x = weightless.gather(t.graph, x, block_major(x.shape[weightless.CHANNELS], block))
    return weightless.depth_to_space(t.graph, x, block)


def pixel_unshuffle(t: Translation, call: Call) -> Tensor:
    """Places to channels, which undoes ``pixel_shuffle``."""
    spread = weightless.space_to_depth(t.graph, t.tensor(call["self"]), call["downscale_factor"])
    order = block_major(spread.shape[weightless.CHANNELS], call["downscale_factor"])
    return weightless.gather(t.graph, spread, np.argsort(order))


def channel_shuffle(t: Translation, call: Call) -> Tensor:
    """Channels dealt out from their groups in turn."""
    x = t.tensor(call["self"])
    order = np.arange(x.shape[weightless.CHANNELS]).reshape(call["groups"], -1).T.reshape(-1)
    return weightless.gather(t.graph, x, order)


def block_major(channels: int, block: int) -> npt.NDArray[np.int64]:
    """Return, for each channel as DEPTH_TO_SPACE wants them, its number in the order that pixel_shuffle wants."""
    return np.arange(channels).reshape(-1, block * block).T.reshape(-1)


def _run(t: Translation, x: Tensor, axis: int, first: int, length: int) -> Tensor:
    begin, shape = [0] * len(x.shape), list(x.shape)
    begin[axis], shape[axis] = first, length
    return weightless.crop(t.graph, x, begin, shape)


def _runs(t: Translation, x: Tensor, dim: int, lengths: Sequence[int]) -> tuple[Tensor, ...]:
    axis = t.axis(dim, len(x.shape))
    if len(set(lengths)) == 1:
        return tuple(weightless.split(t.graph, x, len(lengths), axis))
    begins = np.cumsum([0, *lengths[:-1]])
    return tuple(_run(t, x, axis, int(first), length) for first, length in zip(begins, lengths, strict=True))
