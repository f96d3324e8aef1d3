"""Steps with weights on NHWC tensors: convolutions of every kind, and fully connected layers."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segfast_edge.export.tflite_writer import schema
from segfast_edge.export.tflite_writer.builder import GraphBuilder, Tensor
from segfast_edge.export.tflite_writer.weightless import CHANNELS, crop_map, padding_number, placed, size
from segfast_edge.export.tflite_writer.window import Pair, Window

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Kernel:
    """Weights as torch lays out a convolution, outputs x inputs / groups x height x width, with bias and activation."""

    weights: Array
    bias: Array
    groups: int = 1
    activation: str = "NONE"

    @property
    def extent(self) -> Pair:
        """Height and width."""
        return self.weights.shape[2], self.weights.shape[3]

    @property
    def outputs(self) -> int:
        """Number of output channels."""
        return int(self.weights.shape[0])


def convolve(graph: GraphBuilder, x: Tensor, kernel: Kernel, window: Window) -> Tensor:
    """Convolve a map: depthwise if each channel stands alone, else with groups."""
    x, window = placed(graph, x, window)
    common: dict[str, Any] = {
        "padding": padding_number(window, size(x)),
        "strideH": window.stride[0],
        "strideW": window.stride[1],
        "dilationHFactor": window.dilation[0],
        "dilationWFactor": window.dilation[1],
        "fusedActivationFunction": schema.activation(kernel.activation),
    }
    channels = x.shape[CHANNELS]
    if kernel.groups == channels and kernel.groups > 1:
        operator, version = "DEPTHWISE_CONV_2D", 1 if window.dilation == (1, 1) else 2
        weights = kernel.weights.transpose(1, 2, 3, 0)  # 1 x height x width x (channel, multiplier)
        options = schema.options("DepthwiseConv2D", depthMultiplier=kernel.outputs // channels, **common)
    else:
        operator, version = "CONV_2D", 1 if kernel.groups == 1 else 6
        weights = kernel.weights.transpose(0, 2, 3, 1)
        options = schema.options("Conv2D", **common)
    result = graph.tensor((x.shape[0], *window.outputs, kernel.outputs))
    inputs = [x, graph.constant(weights, "weights"), graph.constant(kernel.bias, "bias")]
    graph.operator(operator, inputs, [result], options, version)
    return result


@dataclass(frozen=True, slots=True)
class Spread:
    """The places of a transposed convolution's results: ``begin`` is what is cut off above and left."""

    stride: Pair
    begin: Pair
    outputs: Pair

    def is_same(self, extent: Pair, kernel: Pair) -> bool:
        """Whether TFLite's SAME cuts the same: it takes the smaller half off in front."""
        for axis in (0, 1):
            outputs, stride = self.outputs[axis], self.stride[axis]
            cut = max(0, (extent[axis] - 1) * stride + kernel[axis] - outputs)
            if extent[axis] != -(-outputs // stride) or self.begin[axis] != cut // 2:
                return False
        return True


def transpose_convolve(graph: GraphBuilder, x: Tensor, kernel: Kernel, spread: Spread) -> Tensor:
    """Spread every element of a map by a dense kernel, outputs x inputs x height x width.

    What no element reaches gets the bias.
    """
    assert kernel.groups == 1
    same = spread.is_same(size(x), kernel.extent)
    weights, produced = (kernel.weights, spread.outputs) if same else _whole(size(x), kernel.weights, spread)
    shape = (x.shape[0], *produced, kernel.outputs)
    result = graph.tensor(shape)
    inputs = [
        graph.constant(np.array(shape, np.int32), "shape"),
        graph.constant(weights.transpose(0, 2, 3, 1), "weights"),
        x,
        graph.constant(kernel.bias, "bias"),
    ]
    options = schema.options(
        "TransposeConv",
        padding=schema.generated.Padding.SAME if same else schema.generated.Padding.VALID,
        strideH=spread.stride[0],
        strideW=spread.stride[1],
        fusedActivationFunction=schema.activation(kernel.activation),
    )
    graph.operator("TRANSPOSE_CONV", inputs, [result], options, 3 if kernel.activation == "NONE" else 4)
    return result if same else crop_map(graph, result, spread.outputs, spread.begin)


def _whole(extent: Pair, weights: Array, spread: Spread) -> tuple[Array, Pair]:
    """Return kernel and size for everything that a map spreads to, from which ``spread`` is cut.

    A size that one more element of the map would reach is no size of this map, so the kernel gets zeros at its end.
    """
    produced, longer = [], []
    for axis in (0, 1):
        end = spread.begin[axis] + spread.outputs[axis]
        reached = (extent[axis] - 1) * spread.stride[axis] + weights.shape[2 + axis]
        produced.append(max(end, reached))
        longer.append(end - reached if end - reached >= spread.stride[axis] else 0)
    longer_weights = np.pad(weights, ((0, 0), (0, 0), (0, longer[0]), (0, longer[1])))
    return longer_weights, (produced[0], produced[1])


def fully_connect(graph: GraphBuilder, x: Tensor, weights: Array, bias: Array, activation: str = "NONE") -> Tensor:
    """Multiply the last axis by weights, outputs x inputs, and add the bias."""
    result = graph.tensor((*x.shape[:-1], weights.shape[0]))
    inputs = [x, graph.constant(weights, "weights"), graph.constant(bias, "bias")]
    options = schema.options(
        "FullyConnected", fusedActivationFunction=schema.activation(activation), keepNumDims=len(x.shape) > 2
    )
    graph.operator("FULLY_CONNECTED", inputs, [result], options, 5 if len(x.shape) > 2 else 1)
    return result
