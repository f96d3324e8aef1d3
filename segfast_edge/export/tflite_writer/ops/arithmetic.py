"""Element by element: activations, sums and products, batch normalisation that no convolution took in."""

from typing import Any

import numpy as np

from segfast_edge.export.tflite_writer import schema, weightless
from segfast_edge.export.tflite_writer.builder import Tensor
from segfast_edge.export.tflite_writer.torch_trace import Call
from segfast_edge.export.tflite_writer.translate import Translation, activation_of


def relu(t: Translation, call: Call) -> Tensor:
    """The larger of x and 0."""
    return _unary(t, call, "RELU")


def relu6(t: Translation, call: Call) -> Tensor:
    """Limited to 0 and 6."""
    return _unary(t, call, "RELU6")


def hardtanh(t: Translation, call: Call) -> Tensor:
    """Limited to two values."""
    return _limited(t, call, call["min_val"], call["max_val"])


def clamp(t: Translation, call: Call) -> Tensor:
    """Limited to two values, either of which may be missing."""
    return _limited(t, call, call["min"], call["max"])


def clamp_min(t: Translation, call: Call) -> Tensor:
    """At least a value."""
    return _limited(t, call, call["min"], None)


def clamp_max(t: Translation, call: Call) -> Tensor:
    """At most a value."""
    return _limited(t, call, None, call["max"])


def sigmoid(t: Translation, call: Call) -> Tensor:
    """1 / (1 + exp(-x))."""
    return _unary(t, call, "LOGISTIC")


def tanh(t: Translation, call: Call) -> Tensor:
    """Hyperbolic tangent."""
    return _unary(t, call, "TANH")


def hardswish(t: Translation, call: Call) -> Tensor:
    """The product of x and its hardsigmoid."""
    return _unary(t, call, "HARD_SWISH")


def hardsigmoid(t: Translation, call: Call) -> Tensor:
    """A sixth of relu6(x + 3)."""
    x = t.tensor(call["self"])
    rank = len(x.shape)
    shifted = weightless.binary(t.graph, "ADD", x, t.operand(3.0, rank), "RELU6")
    return weightless.binary(t.graph, "MUL", shifted, t.operand(1 / 6, rank))


def silu(t: Translation, call: Call) -> Tensor:
    """The product of x and its sigmoid."""
    x = t.tensor(call["self"])
    return weightless.binary(t.graph, "MUL", x, weightless.unary(t.graph, x, "LOGISTIC"))


def leaky_relu(t: Translation, call: Call) -> Tensor:
    """A fixed part of x where it is negative."""
    return _unary(t, call, "LEAKY_RELU", schema.options("LeakyRelu", alpha=float(call["negative_slope"])))


def elu(t: Translation, call: Call) -> Tensor:
    """The value exp(x) - 1 where x is negative."""
    if (call["alpha"], call["scale"], call["input_scale"]) != (1, 1, 1):
        raise call.refused("with a scale")
    return _unary(t, call, "ELU")


def prelu(t: Translation, call: Call) -> Tensor:
    """A learned part of x, per channel or one for all, where it is negative."""
    x = t.tensor(call["self"])
    slopes = np.broadcast_to(t.array(call["weight"]), x.shape[-1:])
    result = t.graph.tensor(x.shape)
    t.graph.operator("PRELU", [x, t.graph.constant(slopes.reshape(1, 1, -1), "slopes")], [result])
    return result


def exp(t: Translation, call: Call) -> Tensor:
    """Exponential."""
    return _unary(t, call, "EXP")


def sqrt(t: Translation, call: Call) -> Tensor:
    """Square root."""
    return _unary(t, call, "SQRT")


def neg(t: Translation, call: Call) -> Tensor:
    """The negative, as a product, which int8 has too."""
    x = t.tensor(call["self"])
    return weightless.binary(t.graph, "MUL", x, t.operand(-1.0, len(x.shape)))


def abs_(t: Translation, call: Call) -> Tensor:
    """The absolute value."""
    return _unary(t, call, "ABS")


def softmax(t: Translation, call: Call) -> Tensor:
    """Shares of the sum of exp(x) along the channels, or along the last axis of what is no map."""
    x = t.tensor(call["self"])
    rank = len(x.shape)
    if call["dim"] % rank != (1 if rank == 4 else rank - 1):
        raise call.refused(f"along axis {call['dim']}")
    return _unary(t, call, "SOFTMAX", schema.options("Softmax", beta=1.0))


def add(t: Translation, call: Call) -> Tensor:
    """Sum."""
    return _binary(t, call, "ADD", call["self"], _scaled(call))


def sub(t: Translation, call: Call) -> Tensor:
    """Difference."""
    return _binary(t, call, "SUB", call["self"], _scaled(call))


def rsub(t: Translation, call: Call) -> Tensor:
    """A number minus a tensor."""
    if call["alpha"] != 1:
        raise call.refused("with alpha")
    return _binary(t, call, "SUB", call["other"], call["self"])


def mul(t: Translation, call: Call) -> Tensor:
    """Product."""
    return _binary(t, call, "MUL", call["self"], call["other"])


def div(t: Translation, call: Call) -> Tensor:
    """Quotient."""
    if call.arguments.get("rounding_mode") is not None:
        raise call.refused(f"with rounding mode {call['rounding_mode']}")
    if isinstance(call["other"], int | float) and call["other"]:
        return _binary(t, call, "MUL", call["self"], 1 / call["other"])  # faster, and int8 has it
    return _binary(t, call, "DIV", call["self"], call["other"])


def maximum(t: Translation, call: Call) -> Tensor:
    """The larger of a and b."""
    return _binary(t, call, "MAXIMUM", call["self"], call["other"], fuse=False)


def minimum(t: Translation, call: Call) -> Tensor:
    """The smaller of a and b."""
    return _binary(t, call, "MINIMUM", call["self"], call["other"], fuse=False)


def native_batch_norm_legit_no_training(t: Translation, call: Call) -> tuple[Tensor]:
    """Batch normalisation by its running statistics: a factor and an offset per channel."""
    x = t.tensor(call["input"])
    mean = t.array(call["running_mean"]).astype(np.float64)
    factor = t.optional_array(call["weight"], len(mean), 1.0) / np.sqrt(t.array(call["running_var"]) + call["eps"])
    offset = t.optional_array(call["bias"], len(mean)) - mean * factor
    scaled = weightless.binary(t.graph, "MUL", x, t.graph.constant(factor.astype(np.float32), "factor"))
    return (weightless.binary(t.graph, "ADD", scaled, t.graph.constant(offset.astype(np.float32), "offset")),)


def _unary(t: Translation, call: Call, operator: str, options: Any = None) -> Tensor:
    return weightless.unary(t.graph, t.tensor(call["self"]), operator, options)


def _limited(t: Translation, call: Call, low: float | None, high: float | None) -> Tensor:
    whole = activation_of(call)
    if whole is not None:
        return _unary(t, call, whole)
    x = t.tensor(call["self"])
    for operator, limit in (("MAXIMUM", low), ("MINIMUM", high)):
        if limit is not None:
            x = weightless.binary(t.graph, operator, x, t.operand(limit, len(x.shape)))
    return x


def _scaled(call: Call) -> Any:
    if call["alpha"] == 1:
        return call["other"]
    if isinstance(call["other"], int | float):
        return call["alpha"] * call["other"]
    raise call.refused(f"with alpha {call['alpha']}")


def _binary(t: Translation, call: Call, operator: str, a: Any, b: Any, *, fuse: bool = True) -> Tensor:
    rank = len(call.shape)
    left, right = t.operand(a, rank), t.operand(b, rank)
    return weightless.binary(t.graph, operator, left, right, t.fused_activation(call) if fuse else "NONE")
