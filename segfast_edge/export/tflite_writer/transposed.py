"""The ways to write a transposed convolution; all compute the same, and the fastest depends on layer and runtime.

The arithmetic of phases is ``common.lowerings``'s; here it becomes NHWC steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from torch import nn

from segfast_edge.errors import ConversionError, unknown
from segfast_edge.export.common.lowerings import Axis, forward_weight, pads, phase_weight
from segfast_edge.export.tflite_writer.builder import GraphBuilder, Tensor
from segfast_edge.export.tflite_writer.weighted import Array, Kernel, Spread, convolve, transpose_convolve
from segfast_edge.export.tflite_writer.weightless import concatenate, crop_map, depth_to_space, pad, reshape, size
from segfast_edge.export.tflite_writer.window import Pair, Window

UNIT: Pair = (1, 1)


@dataclass(frozen=True, slots=True)
class Finish:
    """The last steps of every output value: a bias per channel, an activation, and maybe a 1x1 convolution behind it.

    The latter commutes with putting phases in their places, exactly, so ``phases`` computes it on the small maps: where
    it has fewer outputs than inputs, less is moved about. One thread, 56x56x128 to 112x112x64, float32: 0.64 of the
    time.
    """

    bias: Array
    activation: str = "NONE"
    pointwise: "Pointwise | None" = None


@dataclass(frozen=True, slots=True)
class Pointwise:
    """A 1x1 convolution and the scope that its steps are named after."""

    kernel: Kernel
    scope: str


Lowering = Callable[[GraphBuilder, Tensor, nn.ConvTranspose2d, Finish], Tensor]


def dense(graph: GraphBuilder, x: Tensor, layer: nn.ConvTranspose2d, finish: Finish) -> Tensor:
    """One TRANSPOSE_CONV over all channels, with zeros in the gaps of groups or dilation."""
    grouped = forward_weight(layer).numpy()
    rows, columns = axes_of(layer)
    outputs, inputs, height, width = grouped.shape
    extent = (rows.dilation * (height - 1) + 1, columns.dilation * (width - 1) + 1)
    weights = np.zeros((outputs, inputs * layer.groups, *extent), np.float32)
    for group in range(layer.groups):
        out = slice(group * outputs // layer.groups, (group + 1) * outputs // layer.groups)
        weights[out, group * inputs : (group + 1) * inputs, :: rows.dilation, :: columns.dilation] = grouped[out]
    spread = Spread((rows.stride, columns.stride), (rows.padding, columns.padding), _outputs(x, (rows, columns)))
    kernel = Kernel(weights, finish.bias, activation=finish.activation)
    return _pointwise(graph, transpose_convolve(graph, x, kernel, spread), finish)


def phases(graph: GraphBuilder, x: Tensor, layer: nn.ConvTranspose2d, finish: Finish) -> Tensor:
    """One small convolution per phase, side by side, then DEPTH_TO_SPACE.

    Ungrouped phases that all read the same window are one convolution, ``subpixel``: for 16x16 with stride 8 that
    takes a quarter of the time of 64 small ones.
    """
    axes = axes_of(layer)
    spans = {phase: [axis.span([number]) for axis, number in zip(axes, phase, strict=True)] for phase in _phases(axes)}
    if layer.groups == 1 and all(each == spans[0, 0] for each in spans.values()):
        return subpixel(graph, x, layer, finish)
    parts = []
    for phase, reached in spans.items():
        weights = phase_weight(layer, axes, phase, reached).numpy()
        part = _phase(graph, x, Kernel(weights, finish.bias, layer.groups, finish.activation), axes, reached)
        parts.append(_pointwise(graph, part, finish))
    return _interleaved(graph, concatenate(graph, parts), axes, _outputs(x, axes))


def subpixel(graph: GraphBuilder, x: Tensor, layer: nn.ConvTranspose2d, finish: Finish) -> Tensor:
    """One convolution that gives all phases at once, then DEPTH_TO_SPACE.

    With groups it reads as many copies of the map as there are phases: a grouped convolution gives its results group
    by group, and DEPTH_TO_SPACE needs them phase by phase.
    """
    axes = axes_of(layer)
    numbers = _phases(axes)
    spans = [axis.span(range(axis.stride)) for axis in axes]
    weights = np.concatenate([phase_weight(layer, axes, phase, spans).numpy() for phase in numbers])
    copies = len(numbers) if layer.groups > 1 else 1
    kernel = Kernel(weights, np.tile(finish.bias, len(numbers)), layer.groups * copies, finish.activation)
    together = _phase(graph, concatenate(graph, [x] * copies), kernel, axes, spans)
    return _pointwise(graph, _interleaved(graph, together, axes, _outputs(x, axes)), finish)


def zero_insertion(graph: GraphBuilder, x: Tensor, layer: nn.ConvTranspose2d, finish: Finish) -> Tensor:
    """Zeros after every element of the map, then one convolution with the kernel turned round."""
    batch, height, width, channels = x.shape
    rows, columns = axes = axes_of(layer)
    wide = reshape(graph, x, (batch * height, width, 1, channels))
    wide = pad(graph, wide, [(0, 0), (0, 0), (0, columns.stride - 1), (0, 0)])
    tall = reshape(graph, wide, (batch, height, 1, width * columns.stride * channels))
    tall = pad(graph, tall, [(0, 0), (0, 0), (0, rows.stride - 1), (0, 0)])
    spread = reshape(graph, tall, (batch, height * rows.stride, width * columns.stride, channels))
    sides = []
    for axis, extent, inserted, wanted in zip(axes, size(x), size(spread), _outputs(x, axes), strict=True):
        before = axis.dilation * (axis.kernel - 1) - axis.padding
        after = wanted + axis.dilation * (axis.kernel - 1) - before - inserted
        assert extent * axis.stride == inserted
        sides.append((before, after))
    turned = np.ascontiguousarray(forward_weight(layer).flip(2, 3).numpy())
    kernel = Kernel(turned, finish.bias, layer.groups, finish.activation)
    return _pointwise(graph, _stride_one(graph, spread, kernel, sides, (rows.dilation, columns.dilation)), finish)


LOWERINGS: dict[str, Lowering] = {
    "native": dense,  # TFLite's own transposed convolution has no groups
    "dense": dense,
    "phases": phases,
    "subpixel": subpixel,
    "zero_insertion": zero_insertion,
}


def lowering(name: str, layer: nn.ConvTranspose2d) -> Lowering:
    """Return the way to write a layer that goes by ``name``; DEPTH_TO_SPACE needs equal strides, else it is ``dense``.

    Raises:
        ConversionError: there is none of that name.
    """
    if name not in LOWERINGS:
        raise ConversionError(unknown("lowering", name, LOWERINGS))
    rows, columns = axes_of(layer)
    if name in ("phases", "subpixel") and rows.stride != columns.stride:
        return dense
    return LOWERINGS[name]


def axes_of(layer: nn.ConvTranspose2d) -> tuple[Axis, Axis]:
    """Return height and width of a transposed convolution."""
    fields = (layer.kernel_size, layer.stride, layer.padding, layer.output_padding, layer.dilation)
    rows, columns = (Axis(*(int(field[number]) for field in fields)) for number in (0, 1))
    return rows, columns


def _phases(axes: tuple[Axis, Axis]) -> list[Pair]:
    return [(row, column) for row in range(axes[0].stride) for column in range(axes[1].stride)]


def _outputs(x: Tensor, axes: tuple[Axis, Axis]) -> Pair:
    height, width = (
        (extent - 1) * axis.stride + axis.excess(axis.output_padding)
        for axis, extent in zip(axes, size(x), strict=True)
    )
    return height, width


def _phase(
    graph: GraphBuilder, x: Tensor, kernel: Kernel, axes: tuple[Axis, Axis], spans: Sequence[tuple[int, int]]
) -> Tensor:
    """Give one or more phases at all the places that the output has."""
    sides = [pads(axis, span, axis.excess(axis.output_padding)) for axis, span in zip(axes, spans, strict=True)]
    return _stride_one(graph, x, kernel, sides, UNIT)


def _stride_one(graph: GraphBuilder, x: Tensor, kernel: Kernel, sides: Sequence[Pair], dilation: Pair) -> Tensor:
    """Convolve with stride 1 a map that begins and ends ``sides`` further out, or further in where negative."""
    begin = (max(0, -sides[0][0]), max(0, -sides[1][0]))
    kept = [extent + min(0, before) + min(0, after) for extent, (before, after) in zip(size(x), sides, strict=True)]
    x = crop_map(graph, x, (kept[0], kept[1]), begin)
    outputs = [
        extent + max(0, before) + max(0, after) - step * (reach - 1)
        for extent, (before, after), reach, step in zip(kept, sides, kernel.extent, dilation, strict=True)
    ]
    before = (max(0, sides[0][0]), max(0, sides[1][0]))
    return convolve(graph, x, kernel, Window(kernel.extent, UNIT, dilation, before, (outputs[0], outputs[1])))


def _pointwise(graph: GraphBuilder, x: Tensor, finish: Finish) -> Tensor:
    if finish.pointwise is None:
        return x
    outer, graph.scope = graph.scope, finish.pointwise.scope
    result = convolve(graph, x, finish.pointwise.kernel, Window(UNIT, UNIT, UNIT, (0, 0), size(x)))
    graph.scope = outer
    return result


def _interleaved(graph: GraphBuilder, x: Tensor, axes: tuple[Axis, Axis], outputs: Pair) -> Tensor:
    block = axes[0].stride
    return crop_map(graph, x if block == 1 else depth_to_space(graph, x, block), outputs)
