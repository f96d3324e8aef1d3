"""Layers with weights: convolutions, transposed convolutions, fully connected layers."""

from dataclasses import replace

import torch
from torch import nn

from segfast_edge.export.tflite_writer import weightless
from segfast_edge.export.tflite_writer.builder import Tensor
from segfast_edge.export.tflite_writer.ops.arrange import block_major
from segfast_edge.export.tflite_writer.torch_trace import Call, shape_of
from segfast_edge.export.tflite_writer.translate import Translation, reader_past_activations
from segfast_edge.export.tflite_writer.transposed import Finish, Pointwise, lowering
from segfast_edge.export.tflite_writer.weighted import Kernel, convolve
from segfast_edge.export.tflite_writer.window import Window, pair


def conv2d(t: Translation, call: Call) -> Tensor:
    """Convolution with any stride, padding, dilation and groups."""
    x, weights = _map(t, call), t.array(call["weight"])
    bias = t.optional_array(call["bias"], weights.shape[0])
    dilation, extent = pair(call["dilation"]), (weights.shape[2], weights.shape[3])
    padding = call["padding"]
    if isinstance(padding, str):
        whole = [step * (k - 1) for step, k in zip(dilation, extent, strict=True)]
        padding = [0, 0] if padding == "valid" else [amount // 2 for amount in whole]
    kernel = Kernel(weights, bias, call["groups"], t.fused_activation(call))
    shuffle = reader_past_activations(call.node)
    if kernel.groups == 1 and shuffle is not None and shuffle.operator == "pixel_shuffle":
        order = block_major(kernel.outputs, shuffle["upscale_factor"])
        kernel = replace(kernel, weights=kernel.weights[order], bias=kernel.bias[order])
    outputs = (call.shape[2], call.shape[3])
    return convolve(t.graph, x, kernel, Window(extent, pair(call["stride"]), dilation, pair(padding), outputs))


def conv1d(t: Translation, call: Call) -> Tensor:
    """Convolution along one axis, as one of a map that is one row high."""
    weights = t.array(call["weight"])[:, :, None]
    bias = t.optional_array(call["bias"], weights.shape[0])
    if isinstance(call["padding"], str) or len(call.shape) != 3:
        raise call.refused(f"of shape {call.shape} with padding {call['padding']}")
    n, channels, length = shape_of(call["input"])
    rows = weightless.transpose(t.graph, t.in_torch_order(call["input"]), (0, 2, 1))
    x = weightless.reshape(t.graph, rows, (n, 1, length, channels))
    stride, dilation, padding = (pair(call[name])[1] for name in ("stride", "dilation", "padding"))
    kernel = Kernel(weights, bias, call["groups"], t.fused_activation(call))
    window = Window((1, weights.shape[3]), (1, stride), (1, dilation), (0, padding), (1, call.shape[2]))
    made = weightless.reshape(t.graph, convolve(t.graph, x, kernel, window), (n, call.shape[2], call.shape[1]))
    return weightless.transpose(t.graph, made, (0, 2, 1))


def conv_transpose2d(t: Translation, call: Call) -> Tensor:
    """Transposed convolution, written in the form that was chosen."""
    x, weights = _map(t, call), torch.from_numpy(t.array(call["weight"]))
    inputs, outputs = weights.shape[0], weights.shape[1] * call["groups"]
    with torch.device("meta"):  # only to hold the numbers; its own random weights are never made
        layer = nn.ConvTranspose2d(
            inputs,
            outputs,
            (weights.shape[2], weights.shape[3]),
            pair(call["stride"]),
            pair(call["padding"]),
            pair(call["output_padding"]),
            groups=call["groups"],
            bias=False,
            dilation=pair(call["dilation"]),
        )
    layer.weight = nn.Parameter(weights, requires_grad=False)
    bias = t.optional_array(call["bias"], outputs)
    finish = Finish(bias, t.fused_activation(call), _pointwise_behind(t, call))
    return lowering(t.lowering, layer)(t.graph, x, layer, finish)


def _pointwise_behind(t: Translation, call: Call) -> Pointwise | None:
    """Take over a 1x1 convolution that alone reads a transposed one and makes fewer channels of its output."""
    reader = reader_past_activations(call.node)
    if reader is None or reader.operator != "conv2d" or not t.is_constant(reader["weight"]):
        return None
    weights = t.array(reader["weight"])
    plain = (pair(reader["stride"]), reader["groups"], weights.shape[2:]) == ((1, 1), 1, (1, 1))
    if not plain or reader["padding"] not in ([0, 0], "valid", "same") or weights.shape[0] >= weights.shape[1]:
        return None
    behind = reader_past_activations(reader.node)
    if behind is not None and behind.operator == "pixel_shuffle":  # whose order of channels ``conv2d`` gives
        return None
    t.absorb(reader, call)
    bias = t.optional_array(reader["bias"], weights.shape[0])
    kernel = Kernel(weights, bias, activation=t.fused_activation(reader, call))
    return Pointwise(kernel, f"{reader.layer}/{reader.operator}")


def _map(t: Translation, call: Call) -> Tensor:
    x = t.tensor(call["input"])
    if len(x.shape) != 4:
        raise call.refused(f"on a tensor of shape {x.shape} without a batch axis")
    return x
