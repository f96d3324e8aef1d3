"""Element by element: activations, sums and products, batch normalisation that no convolution took in."""

from typing import Any

import numpy as np
from torch import fx

from segfast_edge.export.tflite_writer import schema, weightless
from segfast_edge.export.tflite_writer.builder import Tensor
from segfast_edge.export.tflite_writer.torch_trace import Call
from segfast_edge.export.tflite_writer.translate import Translation, Writer, activation_of

_ROOTS = {0.5: "SQRT", -0.5: "RSQRT"}


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
    """A fixed part of x if it is negative."""
    return _unary(t, call, "LEAKY_RELU", schema.options("LeakyRelu", alpha=float(call["negative_slope"])))


def prelu(t: Translation, call: Call) -> Tensor:
    """A learned part of x, per channel or one for all, if it is negative."""
    x = t.tensor(call["self"])
    slopes = t.array(call["weight"])
    if len(x.shape) not in (2, 4) and len(slopes) > 1:
        raise call.refused(f"on a tensor of shape {call.shape}")
    slopes = np.broadcast_to(slopes, x.shape[-1:])
    result = t.graph.tensor(x.shape)
    t.graph.operator("PRELU", [x, t.graph.constant(slopes.reshape(1, 1, -1), "slopes")], [result])
    return result


def neg(t: Translation, call: Call) -> Tensor:
    """The negative, as a product, which int8 has too."""
    x = t.tensor(call["self"])
    return weightless.binary(t.graph, "MUL", x, t.operand(-1.0, len(x.shape)))


def softmax(t: Translation, call: Call) -> Tensor:
    """Shares of the sum of exp(x) along an axis."""
    return _along_axis(t, call, "SOFTMAX", schema.options("Softmax", beta=1.0))


def log_softmax(t: Translation, call: Call) -> Tensor:
    """The logarithm of softmax."""
    return _along_axis(t, call, "LOG_SOFTMAX", schema.options("LogSoftmax"))


def reciprocal(t: Translation, call: Call) -> Tensor:
    """One over x."""
    return _binary(t, call, "DIV", 1.0, call["self"])


def square(t: Translation, call: Call) -> Tensor:
    """The product of x with itself."""
    return _binary(t, call, "MUL", call["self"], call["self"])


def pow_(t: Translation, call: Call) -> Tensor:
    """A power, with a fixed exponent."""
    exponent = call.arguments.get("exponent")
    if not isinstance(exponent, int | float) or not isinstance(call["self"], fx.Node):
        raise call.refused("with an exponent that is not a number")
    x = t.tensor(call["self"])
    if exponent in (1, 2, 3, 4):
        power = x
        for _ in range(int(exponent) - 1):
            power = weightless.binary(t.graph, "MUL", power, x)
        return power
    if exponent in _ROOTS:
        return weightless.unary(t.graph, x, _ROOTS[exponent])
    result = t.graph.tensor(x.shape)
    t.graph.operator("POW", [x, t.operand(float(exponent), len(x.shape))], [result], schema.options("Pow"))
    return result


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


def _along_axis(t: Translation, call: Call, operator: str, options: Any) -> Tensor:
    """Apply an operator of TFLite's that works along the last axis."""
    x = t.tensor(call["self"])
    rank = len(x.shape)
    if t.axis(call["dim"], rank) == rank - 1:
        return weightless.unary(t.graph, x, operator, options)
    order = [axis for axis in range(rank) if axis != call["dim"] % rank] + [call["dim"] % rank]
    last = weightless.transpose(t.graph, t.in_torch_order(call["self"]), order)
    result = weightless.unary(t.graph, last, operator, options)
    return t.stored(weightless.transpose(t.graph, result, [order.index(axis) for axis in range(rank)]))


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
    left, right = t.number(t.operand(a, rank)), t.number(t.operand(b, rank))
    return weightless.binary(t.graph, operator, left, right, t.fused_activation(call) if fuse else "NONE")


def _of_one(operator: str) -> Writer:
    return lambda t, call: _unary(t, call, operator)


def _of_two(operator: str) -> Writer:
    return lambda t, call: _binary(t, call, operator, call["self"], call["other"], fuse=False)


# what TFLite has one operator for
relu, relu6, hardswish = _of_one("RELU"), _of_one("RELU6"), _of_one("HARD_SWISH")
sigmoid, tanh = _of_one("LOGISTIC"), _of_one("TANH")
exp, log = _of_one("EXP"), _of_one("LOG")
abs_, sqrt, rsqrt = _of_one("ABS"), _of_one("SQRT"), _of_one("RSQRT")
maximum, minimum = _of_two("MAXIMUM"), _of_two("MINIMUM")
