"""Sums, means, extremes and spreads over some axes."""

from collections.abc import Callable, Sequence
from typing import Any

from segfast_edge.export.tflite_writer import weightless
from segfast_edge.export.tflite_writer.builder import Tensor
from segfast_edge.export.tflite_writer.torch_trace import Call, shape_of
from segfast_edge.export.tflite_writer.translate import Translation, Writer


def var(t: Translation, call: Call) -> Tensor:
    """The variance over some axes."""
    return _back(t, call, _variance(t, call))


def std(t: Translation, call: Call) -> Tensor:
    """The standard deviation over some axes."""
    return _back(t, call, weightless.unary(t.graph, _variance(t, call), "SQRT"))


def linalg_vector_norm(t: Translation, call: Call) -> Tensor:
    """The root of the sum of squares, or the sum of absolute values, over some axes."""
    x, axes = t.tensor(call["self"]), _axes(t, call)
    if call["ord"] == 2:
        squares = weightless.reduce(t.graph, weightless.binary(t.graph, "MUL", x, x), "SUM", axes, keep=True)
        return _back(t, call, weightless.unary(t.graph, squares, "SQRT"))
    if call["ord"] == 1:
        sizes = weightless.unary(t.graph, x, "ABS")
        return _back(t, call, weightless.reduce(t.graph, sizes, "SUM", axes, keep=True))
    raise call.refused(f"of order {call['ord']}")


def _reduced(operator: str) -> Callable[[Translation, Call], Tensor]:
    """Return what applies an operator over some axes, or over all."""

    def write(t: Translation, call: Call) -> Tensor:
        x = t.tensor(call["self"])
        return _back(t, call, weightless.reduce(t.graph, x, operator, _axes(t, call), keep=True))

    return write


def _extreme(over_axes: str, of_two: str) -> Writer:
    """Return what finds the extreme of all or along an axis, without its place; or that of two tensors."""

    def write(t: Translation, call: Call) -> Any:
        if "other" in call.arguments:
            rank = len(call.shape)
            return weightless.binary(t.graph, of_two, t.operand(call["self"], rank), t.operand(call["other"], rank))
        found = _reduced(over_axes)(t, call)
        return (found,) if "dim" in call.arguments else found  # its places are the second result, which is not there

    return write


def _variance(t: Translation, call: Call) -> Tensor:
    """Return the variance with the reduced axes kept; torch takes one from the count by default."""
    x, axes = t.tensor(call["self"]), _axes(t, call)
    count = 1
    for axis in axes:
        count *= x.shape[axis]
    if "correction" in call.arguments:
        less = 1.0 if call["correction"] is None else float(call["correction"])
    else:
        less = 1.0 if call["unbiased"] else 0.0
    if count <= less:
        raise call.refused(f"over {count} values")
    centred = weightless.binary(t.graph, "SUB", x, weightless.reduce(t.graph, x, "MEAN", axes, keep=True))
    squares = weightless.binary(t.graph, "MUL", centred, centred)
    return t.scaled(weightless.reduce(t.graph, squares, "MEAN", axes, keep=True), count / (count - less))


def _axes(t: Translation, call: Call) -> Sequence[int]:
    """Return where the axes to reduce lie in the file: all of them if none is named."""
    rank = len(shape_of(call["self"]))
    named = call.arguments.get("dim")
    named = [named] if isinstance(named, int) else named
    return [t.axis(axis, rank) for axis in (named or range(rank))]


def _back(t: Translation, call: Call, kept: Tensor) -> Tensor:
    """Return a result whose reduced axes still have extent 1 in the shape that torch gives it."""
    return t.viewed(t.from_stored(kept), call.shape)


mean, sum_ = _reduced("MEAN"), _reduced("SUM")
amax, amin = _reduced("REDUCE_MAX"), _reduced("REDUCE_MIN")
max_, min_ = _extreme("REDUCE_MAX", "MAXIMUM"), _extreme("REDUCE_MIN", "MINIMUM")
