"""Smooth activations, which TFLite has one operator for, or none."""

from segfast_edge.export.tflite_writer import schema, weightless
from segfast_edge.export.tflite_writer.builder import Tensor
from segfast_edge.export.tflite_writer.torch_trace import Call
from segfast_edge.export.tflite_writer.translate import Translation

SELU_SCALE, SELU_ALPHA = 1.0507009873554805, 1.6732632423543772  # as torch has them


def gelu(t: Translation, call: Call) -> Tensor:
    """The product of x and the normal distribution's share below x, exactly or by tanh."""
    options = schema.options("Gelu", approximate=call["approximate"] == "tanh")
    return weightless.unary(t.graph, t.tensor(call["self"]), "GELU", options)


def softplus(t: Translation, call: Call) -> Tensor:
    """The logarithm of 1 + exp(beta x), over beta."""
    beta = float(call["beta"])
    if beta <= 0:
        raise call.refused(f"with beta {beta}")
    return t.scaled(_softplus(t, t.scaled(t.tensor(call["self"]), beta)), 1 / beta)


def mish(t: Translation, call: Call) -> Tensor:
    """The product of x and tanh(softplus(x))."""
    x = t.tensor(call["self"])
    return weightless.binary(t.graph, "MUL", x, weightless.unary(t.graph, _softplus(t, x), "TANH"))


def log_sigmoid(t: Translation, call: Call) -> Tensor:
    """The logarithm of the sigmoid, which is minus softplus(-x)."""
    return t.scaled(_softplus(t, t.scaled(t.tensor(call["self"]), -1)), -1)


def elu(t: Translation, call: Call) -> Tensor:
    """A multiple of x, and if x is negative of exp(x) - 1."""
    return _elu(t, call, float(call["alpha"]), float(call["scale"]), float(call["input_scale"]))


def selu(t: Translation, call: Call) -> Tensor:
    """The one elu that keeps mean and variance."""
    return _elu(t, call, SELU_ALPHA, SELU_SCALE, 1.0)


def celu(t: Translation, call: Call) -> Tensor:
    """An elu whose slope is continuous."""
    alpha = float(call["alpha"])
    return _elu(t, call, alpha, 1.0, 1 / alpha)


def glu(t: Translation, call: Call) -> Tensor:
    """One half of the channels times the sigmoid of the other."""
    x = t.tensor(call["self"])
    kept, gate = weightless.split(t.graph, x, 2, t.axis(call["dim"], len(x.shape)))
    return weightless.binary(t.graph, "MUL", kept, weightless.unary(t.graph, gate, "LOGISTIC"))


def softsign(t: Translation, call: Call) -> Tensor:
    """The value x / (1 + |x|)."""
    x = t.tensor(call["self"])
    one = t.operand(1.0, len(x.shape))
    return weightless.binary(
        t.graph, "DIV", x, weightless.binary(t.graph, "ADD", weightless.unary(t.graph, x, "ABS"), one)
    )


def _softplus(t: Translation, x: Tensor) -> Tensor:
    """Compute max(x, 0) + log(1 + exp(-|x|)), whose exponential overflows nowhere."""
    rank = len(x.shape)
    small = weightless.unary(t.graph, t.scaled(weightless.unary(t.graph, x, "ABS"), -1), "EXP")
    more = weightless.binary(t.graph, "ADD", small, t.operand(1.0, rank))
    positive = weightless.unary(t.graph, x, "RELU")
    return weightless.binary(t.graph, "ADD", positive, weightless.unary(t.graph, more, "LOG"))


def _elu(t: Translation, call: Call, alpha: float, scale: float, input_scale: float) -> Tensor:
    """Compute scale x where x is positive, scale alpha (exp(input_scale x) - 1) elsewhere."""
    x = t.tensor(call["self"])
    if (alpha, scale, input_scale) == (1, 1, 1):
        return weightless.unary(t.graph, x, "ELU")
    curve = weightless.unary(t.graph, t.scaled(x, input_scale), "ELU")
    below = weightless.binary(t.graph, "MINIMUM", curve, t.operand(0.0, len(x.shape)))
    above = weightless.unary(t.graph, x, "RELU")
    return weightless.binary(t.graph, "ADD", t.scaled(above, scale), t.scaled(below, scale * alpha))
