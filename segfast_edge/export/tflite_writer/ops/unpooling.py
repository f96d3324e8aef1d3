"""Unpooling by the places where maxima were, which TFLite has no operator for."""

import numpy as np

from segfast_edge.export.tflite_writer import schema, weightless
from segfast_edge.export.tflite_writer.builder import GraphBuilder, Tensor
from segfast_edge.export.tflite_writer.torch_trace import Call, call_of
from segfast_edge.export.tflite_writer.translate import Translation
from segfast_edge.export.tflite_writer.window import Pair

BLOCK = 2  # pooling 2x2 with stride 2, so that every element belongs to one window


def max_unpool2d(t: Translation, call: Call) -> Tensor:
    """Each value where the maximum was in its 2x2 block, the first of equal ones, and zeros elsewhere.

    The block's four elements lie side by side after SPACE_TO_DEPTH; ARG_MAX over them is the place, and ONE_HOT of
    the place times the value is the block, which DEPTH_TO_SPACE puts back.
    """
    positions = t.positions(call["indices"])
    if positions is None:
        raise call.refused("uses indices that are not from a max_pool2d")
    _check_pooling(call)
    values, source = t.tensor(call["self"]), positions.source
    if weightless.size(source) != (call.shape[2], call.shape[3]):
        raise call.refused(
            f"to {call.shape[2:]}, not back to the pooled map's {weightless.size(source)}, moves the positions"
        )
    batch, height, width, channels = values.shape
    whole = weightless.crop_map(t.graph, source, (BLOCK * height, BLOCK * width))
    blocks = _blocks(t.graph, whole)
    chosen = _one_hot(t.graph, _first_maximum(t.graph, blocks))
    flat = weightless.reshape(t.graph, values, (batch * height * width, 1, channels))
    filled = weightless.binary(t.graph, "MUL", chosen, flat)
    placed = weightless.reshape(t.graph, filled, (batch, height, width, BLOCK * BLOCK * channels))
    return _bordered(t.graph, weightless.depth_to_space(t.graph, placed, BLOCK), weightless.size(source))


def _check_pooling(call: Call) -> None:
    pooling = call_of(call["indices"].args[0])
    names = ("kernel_size", "stride", "padding", "dilation")
    values = [pooling[name] if isinstance(pooling[name], int) else tuple(pooling[name]) for name in names]
    kernel, stride, padding, dilation = ((v, v) if isinstance(v, int) else v for v in values)
    wanted = (BLOCK, BLOCK)
    if (kernel, stride or kernel, padding, dilation) != (wanted, wanted, (0, 0), (1, 1)) or pooling["ceil_mode"]:
        raise call.refused(f"of a pooling other than {BLOCK}x{BLOCK} with stride {BLOCK}")


def _blocks(graph: GraphBuilder, x: Tensor) -> Tensor:
    """Return blocks x 4 x channels."""
    apart = weightless.space_to_depth(graph, x, BLOCK)
    batch, height, width, depth = apart.shape
    return weightless.reshape(graph, apart, (batch * height * width, BLOCK * BLOCK, depth // (BLOCK * BLOCK)))


def _first_maximum(graph: GraphBuilder, blocks: Tensor) -> Tensor:
    result = graph.tensor((blocks.shape[0], blocks.shape[2]), np.int32)
    numbers = schema.options("ArgMax", outputType=schema.element_type(np.dtype(np.int32)))
    graph.operator("ARG_MAX", [blocks, graph.constant(np.int32(1), "axis")], [result], numbers)
    return result


def _one_hot(graph: GraphBuilder, places: Tensor) -> Tensor:
    result = graph.tensor((places.shape[0], BLOCK * BLOCK, places.shape[1]))
    depth = graph.constant(np.int32(BLOCK * BLOCK), "depth")
    on, off = graph.constant(np.float32(1), "on"), graph.constant(np.float32(0), "off")
    graph.operator("ONE_HOT", [places, depth, on, off], [result], schema.options("OneHot", axis=1))
    return result


def _bordered(graph: GraphBuilder, x: Tensor, wanted: Pair) -> Tensor:
    after = (wanted[0] - x.shape[1], wanted[1] - x.shape[2])
    return weightless.pad_map(graph, x, (0, 0), after)
