"""Normalisation by the statistics of what is normalised, and batch normalisation that no convolution took in."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from segfast_edge.export.tflite_writer import weightless
from segfast_edge.export.tflite_writer.builder import Tensor
from segfast_edge.export.tflite_writer.torch_trace import Call, shape_of
from segfast_edge.export.tflite_writer.translate import Translation


def native_batch_norm_legit_no_training(t: Translation, call: Call) -> tuple[Tensor]:
    """Batch normalisation by its running statistics: a factor and an offset per channel."""
    return (_by_running_statistics(t, call),)


def group_norm(t: Translation, call: Call) -> Tensor:
    """Each group of channels by its own mean and variance."""
    n, channels, *_ = shape_of(call["input"])
    x, places = _channels_last(t, call)
    groups = call["num_groups"]
    grouped = weightless.reshape(t.graph, x, (n, places, groups, channels // groups))
    normal = weightless.reshape(t.graph, _normalised(t, grouped, (1, 3), call["eps"]), x.shape)
    return _back(t, call, _affine(t, normal, call, channels))


def instance_norm(t: Translation, call: Call) -> Tensor:
    """Each channel by its own mean and variance, or by running ones."""
    if not call["use_input_stats"]:
        return _by_running_statistics(t, call)
    x, _ = _channels_last(t, call)
    normal = _normalised(t, x, (1,), call["eps"])
    return _back(t, call, _affine(t, normal, call, x.shape[-1]))


def layer_norm(t: Translation, call: Call) -> Tensor:
    """The last axes by the mean and variance over them."""
    x = t.in_torch_order(call["input"])
    axes = range(len(x.shape) - len(call["normalized_shape"]), len(x.shape))
    normal = _normalised(t, x, axes, call["eps"])
    for operator, name in (("MUL", "weight"), ("ADD", "bias")):
        if call[name] is not None:
            values = t.graph.constant(t.array(call[name]), name)
            normal = weightless.binary(t.graph, operator, normal, values)
    return t.stored(normal)


def rms_norm(t: Translation, call: Call) -> Tensor:
    """The last axes by the root of their mean square."""
    x = t.in_torch_order(call["input"])
    axes = range(len(x.shape) - len(call["normalized_shape"]), len(x.shape))
    eps = float(np.finfo(np.float32).eps if call["eps"] is None else call["eps"])
    normal = weightless.binary(t.graph, "MUL", x, _inverse_root(t, x, axes, eps))
    if call["weight"] is not None:
        normal = weightless.binary(t.graph, "MUL", normal, t.graph.constant(t.array(call["weight"]), "weight"))
    return t.stored(normal)


def _channels_last(t: Translation, call: Call) -> tuple[Tensor, int]:
    """Return the input as batch x places x channels, whatever axes its places have, and how many there are."""
    n, channels, *places = shape_of(call["input"])
    if len(places) == 2:
        x = t.tensor(call["input"])
    else:
        rank = len(places) + 2
        x = weightless.transpose(t.graph, t.in_torch_order(call["input"]), (0, *range(2, rank), 1))
    count = int(np.prod(places))
    return weightless.reshape(t.graph, x, (n, count, channels)), count


def _back(t: Translation, call: Call, x: Tensor) -> Tensor:
    """Undo ``_channels_last``."""
    n, channels, *places = call.shape
    if len(places) == 2:
        return weightless.reshape(t.graph, x, (n, *places, channels))
    wide = weightless.reshape(t.graph, x, (n, *places, channels))
    return weightless.transpose(t.graph, wide, (0, len(places) + 1, *range(1, len(places) + 1)))


def _normalised(t: Translation, x: Tensor, axes: Sequence[int], eps: float) -> Tensor:
    mean = weightless.reduce(t.graph, x, "MEAN", axes, keep=True)
    centred = weightless.binary(t.graph, "SUB", x, mean)
    return weightless.binary(t.graph, "MUL", centred, _inverse_root(t, centred, axes, eps))


def _inverse_root(t: Translation, x: Tensor, axes: Sequence[int], eps: float) -> Tensor:
    """Return one over the root of the mean square over some axes."""
    mean = weightless.reduce(t.graph, weightless.binary(t.graph, "MUL", x, x), "MEAN", axes, keep=True)
    above_zero = weightless.binary(t.graph, "ADD", mean, t.graph.constant(np.float32(eps), "eps"))
    return weightless.unary(t.graph, above_zero, "RSQRT")


def _affine(t: Translation, x: Tensor, call: Call, channels: int) -> Tensor:
    """Multiply and shift the last axis, if the norm has weights."""
    if call["weight"] is None and call["bias"] is None:
        return x
    factor = t.optional_array(call["weight"], channels, 1.0)
    offset = t.optional_array(call["bias"], channels)
    scaled = weightless.binary(t.graph, "MUL", x, t.graph.constant(factor, "factor"))
    return weightless.binary(t.graph, "ADD", scaled, t.graph.constant(offset, "offset"))


def _by_running_statistics(t: Translation, call: Call) -> Tensor:
    x: Any = t.tensor(call["input"])
    mean = t.array(call["running_mean"]).astype(np.float64)
    factor = t.optional_array(call["weight"], len(mean), 1.0) / np.sqrt(t.array(call["running_var"]) + call["eps"])
    offset = t.optional_array(call["bias"], len(mean)) - mean * factor
    shape = (-1, 1) if len(x.shape) == 3 else (-1,)  # N x C x L lies in torch's order
    factor, offset = (values.astype(np.float32).reshape(shape) for values in (factor, offset))
    scaled = weightless.binary(t.graph, "MUL", x, t.graph.constant(factor, "factor"))
    return weightless.binary(t.graph, "ADD", scaled, t.graph.constant(offset, "offset"))
