"""Products of matrices: fully connected layers, batched products, attention."""

import math
from typing import Any

import numpy as np

from segfast_edge.export.tflite_writer import schema, weightless
from segfast_edge.export.tflite_writer.builder import Tensor
from segfast_edge.export.tflite_writer.torch_trace import Call, shape_of
from segfast_edge.export.tflite_writer.translate import Translation
from segfast_edge.export.tflite_writer.weighted import fully_connect


def linear(t: Translation, call: Call) -> Tensor:
    """Fully connected layer on the last axis."""
    weights = t.array(call["weight"])
    bias = t.optional_array(call["bias"], weights.shape[0])
    x = t.in_torch_order(call["input"])
    return t.stored(fully_connect(t.graph, x, weights, bias, t.fused_activation(call)))


def addmm(t: Translation, call: Call) -> Tensor:
    """Fully connected layer as torch decomposes it: bias + x @ weights."""
    if (call["alpha"], call["beta"]) != (1, 1):
        raise call.refused("with alpha or beta")
    weights = np.ascontiguousarray(t.array(call["mat2"]).T)
    bias = np.broadcast_to(t.array(call["self"]), weights.shape[:1])
    return fully_connect(t.graph, t.tensor(call["mat1"]), weights, bias, t.fused_activation(call))


def matmul(t: Translation, call: Call) -> Tensor:
    """Products of matrices in the last two axes, over any axes before them."""
    return _product(t, call, call["self"], call["other"])


def bmm(t: Translation, call: Call) -> Tensor:
    """As many products of matrices as the first axis is long."""
    return _product(t, call, call["self"], call["mat2"])


mm = bmm


def baddbmm(t: Translation, call: Call) -> Tensor:
    """A sum of a tensor and products of matrices, both of them scaled."""
    product = t.scaled(_product(t, call, call["batch1"], call["batch2"]), float(call["alpha"]))
    added = t.scaled(t.operand(call["self"], len(call.shape)), float(call["beta"]))
    return weightless.binary(t.graph, "ADD", product, added)


def scaled_dot_product_attention(t: Translation, call: Call) -> Tensor:
    """Attention: a softmax over the products of queries with keys weighs the values."""
    if call["dropout_p"]:
        raise call.refused("with dropout")
    if call.arguments.get("enable_gqa"):
        raise call.refused("with fewer heads of keys than of queries")
    shape = shape_of(call["query"])
    factor = 1 / math.sqrt(shape[-1]) if call["scale"] is None else float(call["scale"])
    query, key, value = (t.in_torch_order(call[name]) for name in ("query", "key", "value"))
    scores = _multiplied(t, t.scaled(query, factor), key, turned=True)
    if call["is_causal"]:
        allowed = np.tril(np.ones(scores.shape[-2:], bool))
        mask = t.graph.constant(np.where(allowed, 0, weightless.LOWEST / 2).astype(np.float32), "mask")
        scores = weightless.binary(t.graph, "ADD", scores, mask)
    if call["attn_mask"] is not None:
        scores = weightless.binary(t.graph, "ADD", scores, _mask(t, call, len(scores.shape)))
    weights = weightless.unary(t.graph, scores, "SOFTMAX", schema.options("Softmax", beta=1.0))
    return t.stored(_multiplied(t, weights, value, turned=False))


def _mask(t: Translation, call: Call, rank: int) -> Tensor:
    node = call["attn_mask"]
    if not t.is_constant(node):
        if node.meta["val"].dtype.is_floating_point:
            return t.in_torch_order(node)
        raise call.refused("with a mask of truth values computed from the picture")
    values = t.fixed(node)
    if values.dtype == np.bool_:
        values = np.where(values, np.float32(0), np.float32(weightless.LOWEST / 2))
    values = np.maximum(values, weightless.LOWEST / 2).astype(np.float32)  # minus infinity masks
    return t.graph.constant(values.reshape((1,) * (rank - values.ndim) + values.shape), "mask")


def _product(t: Translation, call: Call, a: Any, b: Any) -> Tensor:
    ranks = len(shape_of(a)), len(shape_of(b))
    if min(ranks) < 2:
        raise call.refused(f"of tensors with {ranks[0]} and {ranks[1]} axes")
    if t.is_constant(b) and ranks[1] == 2:
        weights = np.ascontiguousarray(t.array(b).T)
        bias = np.zeros(weights.shape[0], np.float32)
        return t.stored(fully_connect(t.graph, t.in_torch_order(a), weights, bias, t.fused_activation(call)))
    rank = max(ranks)
    left, right = (_of_rank(t, t.in_torch_order(each), rank) for each in (a, b))
    return t.stored(_multiplied(t, left, right, turned=False))


def _of_rank(t: Translation, x: Tensor, rank: int) -> Tensor:
    return weightless.reshape(t.graph, x, (1,) * (rank - len(x.shape)) + x.shape)


def _multiplied(t: Translation, a: Tensor, b: Tensor, *, turned: bool) -> Tensor:
    """Multiply matrices in torch's order; ``turned`` takes the rows of ``b`` for its columns."""
    columns = b.shape[-2] if turned else b.shape[-1]
    shape = (*np.broadcast_shapes(a.shape[:-2], b.shape[:-2]), a.shape[-2], columns)
    result = t.graph.tensor(shape)
    t.graph.operator("BATCH_MATMUL", [a, b], [result], schema.options("BatchMatMul", adjX=False, adjY=turned))
    return result
