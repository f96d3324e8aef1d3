"""Comparisons, what is chosen by them, and tensors that are filled with one value."""

from typing import Any

import numpy as np

from segfast_edge.export.tflite_writer import schema, weightless
from segfast_edge.export.tflite_writer.builder import Tensor
from segfast_edge.export.tflite_writer.torch_trace import Call
from segfast_edge.export.tflite_writer.translate import Translation, Writer


def where(t: Translation, call: Call) -> Tensor:
    """One of two values by a condition."""
    if "self" not in call.arguments:
        raise call.refused("returns indices")
    return _chosen(t, call, call["condition"], call["self"], call["other"])


def masked_fill(t: Translation, call: Call) -> Tensor:
    """A fixed value where a condition holds."""
    return _chosen(t, call, call["mask"], call["value"], call["self"])


def logical_not(t: Translation, call: Call) -> Tensor:
    """Whether a condition does not hold."""
    x = t.tensor(call["self"])
    if x.dtype != np.bool_:
        raise call.refused("of numbers")
    return weightless.unary(t.graph, x, "LOGICAL_NOT")


def full_like(t: Translation, call: Call) -> Tensor:
    """A value everywhere."""
    return _filled(t, call, call["fill_value"])


def _filled(t: Translation, call: Call, value: Any) -> Tensor:
    rank = len(call.shape)
    if not call.node.meta["val"].dtype.is_floating_point:
        raise call.refused(f"of type {call.node.meta['val'].dtype}")
    shape = [call.shape[axis] for axis in sorted(range(rank), key=lambda axis: t.axis(axis, rank))]
    return t.graph.constant(np.full(shape, value, np.float32), "value")


def _comparison(operator: str, table: str) -> Writer:
    def write(t: Translation, call: Call) -> Tensor:
        rank = len(call.shape)
        a, b = (t.operand(call[name], rank) for name in ("self", "other"))
        result = t.graph.tensor(np.broadcast_shapes(a.shape, b.shape), np.bool_)
        t.graph.operator(operator, [a, b], [result], schema.options(table))
        return result

    return write


def _chosen(t: Translation, call: Call, condition: Any, chosen: Any, other: Any) -> Tensor:
    rank = len(call.shape)
    if t.is_constant(condition):
        values = np.asarray(t.fixed(condition), bool)
        values = values.reshape((1,) * (rank - values.ndim) + values.shape)
        mask = t.graph.constant(values.transpose(0, 2, 3, 1) if rank == 4 else values, "mask")
    else:
        mask = t.operand(condition, rank)
    a, b = t.operand(chosen, rank), t.operand(other, rank)
    if a.dtype != b.dtype or mask.dtype != np.bool_:
        raise call.refused("of tensors of different types")
    result = t.graph.tensor(np.broadcast_shapes(mask.shape, a.shape, b.shape), a.dtype)
    t.graph.operator("SELECT_V2", [mask, a, b], [result], schema.options("SelectV2"))
    return result


def _constant(value: float) -> Writer:
    return lambda t, call: _filled(t, call, value)


bitwise_not = logical_not
gt, ge = _comparison("GREATER", "Greater"), _comparison("GREATER_EQUAL", "GreaterEqual")
lt, le = _comparison("LESS", "Less"), _comparison("LESS_EQUAL", "LessEqual")
zeros_like = new_zeros = _constant(0.0)
ones_like = new_ones = _constant(1.0)
