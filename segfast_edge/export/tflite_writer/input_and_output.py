"""The two ends of a deployed graph: uint8 picture to the network's input, logits to labels."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import torch
from torch import fx

from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.export.common.ends import Ends
from segfast_edge.export.common.metadata import INPUT
from segfast_edge.export.tflite_writer import schema, weightless
from segfast_edge.export.tflite_writer.builder import Affine, GraphBuilder, Tensor
from segfast_edge.export.tflite_writer.torch_trace import Call, Trace, call_of


def scale_folded(trace: Trace, preprocess: Preprocess) -> Trace | None:
    """Return the network for pixels from which only the mean was taken, or None if something else reads its input.

    The factor ``1 / (255 std)`` goes into the weights of the convolutions that read the input, possibly past a
    border of zeros; that is exact. The mean stays outside: taken into the bias it would be wrong along the border,
    where a convolution pads with the mean colour.
    """
    convolutions = list(_first_convolutions(trace.input))
    weights = {call["weight"] for call in convolutions if call is not None}
    if None in convolutions or any(len(node.users) > 1 or node not in trace.constants for node in weights):
        return None
    factor = torch.tensor([1 / (255 * std) for std in preprocess.std], dtype=torch.float64).view(1, 3, 1, 1)
    scaled = {node: (trace.constants[node].double() * factor).float() for node in weights}
    return replace(trace, constants={**trace.constants, **scaled})


def pixels(graph: GraphBuilder, preprocess: Preprocess, ends: Ends) -> Tensor:
    """Add the input, and return its pixels as float32 1 x H x W x 3 in the network's order.

    DEQUANTIZE does for a frame with scale 1 what CAST does, and is one that XNNPACK takes.
    """
    integers = ends.input_type == "uint8"
    shape = ends.input_shape(preprocess.size)
    found = graph.input(INPUT, shape, np.dtype(ends.input_type), Affine(1.0) if integers else None)
    if integers:
        frame, found = found, graph.tensor(shape)
        graph.operator("DEQUANTIZE", [frame], [found], schema.options("Dequantize"))
    if ends.input_layout == "NCHW":
        found = weightless.transpose(graph, found, (0, 2, 3, 1))
    if preprocess.channel_order == "RGB":
        return found
    return weightless.gather(graph, found, (2, 1, 0), weightless.CHANNELS)


def centred(graph: GraphBuilder, pixels: Tensor, preprocess: Preprocess) -> Tensor:
    """Take the mean colour from pixels, for a network with the scale in its weights."""
    return weightless.binary(graph, "SUB", pixels, _row(graph, pixels, 255 * np.array(preprocess.mean)))


def normalised(graph: GraphBuilder, pixels: Tensor, preprocess: Preprocess) -> Tensor:
    """Compute ``(pixel / 255 - mean) / std`` as one product and one sum, as the ``Normalise`` layer does."""
    mean, std = np.array(preprocess.mean), np.array(preprocess.std)
    scaled = weightless.binary(graph, "MUL", pixels, _row(graph, pixels, 1 / (255 * std)))
    return weightless.binary(graph, "ADD", scaled, _row(graph, pixels, -mean / std))


def labelled(graph: GraphBuilder, logits: Tensor) -> Tensor:
    """Return the first largest class of each pixel as uint8, 1 x H x W.

    ARG_MAX with a cast behind it: 0.19 ms for 12 classes at 224x224 on one core, where maxima and comparisons that
    XNNPACK could run took 3 times as long.
    """
    numbers = graph.tensor(logits.shape[:3], np.int32)
    int32, uint8 = (schema.element_type(np.dtype(kind)) for kind in (np.int32, np.uint8))
    options = schema.options("ArgMax", outputType=int32)
    graph.operator("ARG_MAX", [logits, graph.constant(np.int32(weightless.CHANNELS), "axis")], [numbers], options)
    labels = graph.tensor(numbers.shape, np.uint8)
    graph.operator("CAST", [numbers], [labels], schema.options("Cast", inDataType=int32, outDataType=uint8))
    return labels


def _row(graph: GraphBuilder, pixels: Tensor, colour: np.ndarray) -> Tensor:
    """Return a row of pixels of one colour: XNNPACK repeats a row fast, and three values 20 times slower."""
    return graph.constant(np.broadcast_to(colour.astype(np.float32), (1, 1, pixels.shape[2], 3)), "colour")


def _first_convolutions(node: fx.Node) -> Iterator[Call | None]:
    """Give every convolution that reads a value, and None for each other reader."""
    for reader in node.users:
        call = call_of(reader) if reader.op == "call_function" else None
        if call is not None and call.operator in ("pad", "constant_pad_nd") and not call["value"]:
            yield from _first_convolutions(reader) if call.arguments.get("mode", "constant") == "constant" else (None,)
        else:
            yield call if call is not None and call.operator == "conv2d" and call["groups"] == 1 else None
