"""Exact rewrites of the transposed convolution, because runtimes differ tenfold in how fast they run which form.

In one dimension, with stride s, padding p, dilation d and input i, tap t lands on output ``o = i s - p + t d``. So
output ``q s + phase`` reads input ``q + (phase + p - t d) / s`` for exactly those taps where that is a whole number:
each phase is a small ordinary convolution, and the outputs of all phases interleave. Everything below follows.
"""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segfast_edge.errors import ConversionError, unknown
from segfast_edge.model.blocks import Normalised
from segfast_edge.model.plain import Absorbed, is_plain

Pair = tuple[int, int]


def lower(network: nn.Module, name: str) -> nn.Module:
    """Return a copy of ``network`` with every ``nn.ConvTranspose2d`` in the form ``name``, which computes the same.

    One that is not plain (``model.plain``) is left alone, since it may compute anything. In a block of our networks a
    ReLU behind such a layer goes before the phases are interleaved, which computes the same: where integers are
    interleaved, and not the floats before a ReLU, a quarter of the bytes move. Elsewhere something may be read between
    the two.

    Raises:
        ConversionError: no such lowering, or a layer that pads with anything but zeros.
    """
    if name not in LOWERINGS:
        raise ConversionError(unknown("lowering", name, LOWERINGS))
    make = LOWERINGS[name]
    lowered = copy.deepcopy(network)
    if isinstance(lowered, nn.ConvTranspose2d):
        return make(lowered) if is_plain(lowered, nn.ConvTranspose2d) else lowered
    for prefix, parent in list(lowered.named_modules()):
        for child_name, child in list(parent._modules.items()):  # named_children leaves out what comes again
            if isinstance(child, nn.ConvTranspose2d) and is_plain(child, nn.ConvTranspose2d):
                made = make(child)
                if isinstance(made, Interleaved) and isinstance(parent, Normalised):
                    made.activation = _taken_relu(parent, f"{prefix}.{child_name}" if prefix else child_name)
                setattr(parent, child_name, made)
    lowered.eval()
    return lowered.requires_grad_(False)


def _taken_relu(block: Normalised, into: str) -> nn.Module:
    """Take the ReLU out of a block whose BN is folded; an identity if there is none, or BN is still before it."""
    taken = block._modules.get("relu")
    norm = block._modules.get("bn")
    if taken is None or norm is None:
        return nn.Identity()
    if not (is_plain(block, Normalised) and is_plain(taken, nn.ReLU) and is_plain(norm, Absorbed)):
        return nn.Identity()
    block.relu = Absorbed(into)
    return taken


@dataclass(frozen=True, slots=True)
class Axis:
    """One dimension of a transposed convolution."""

    kernel: int
    stride: int
    padding: int
    output_padding: int
    dilation: int

    def taps(self, phase: int) -> list[tuple[int, int]]:
        """Return (input offset, tap) for every tap that reaches outputs ``q stride + phase`` from ``q + offset``."""
        reached = [(phase + self.padding - tap * self.dilation, tap) for tap in range(self.kernel)]
        return [(distance // self.stride, tap) for distance, tap in reached if distance % self.stride == 0]

    def span(self, phases: Sequence[int]) -> tuple[int, int]:
        """Return the lowest and highest input offset that ``phases`` read; 0, 0 if no tap reaches them."""
        offsets = [offset for phase in phases for offset, _ in self.taps(phase)] or [0]
        return min(offsets), max(offsets)

    def excess(self, output_padding: int) -> int:
        """Return by how much the output is longer than ``(inputs - 1) stride``."""
        return self.dilation * (self.kernel - 1) + 1 + output_padding - 2 * self.padding

    def output_padding_for(self, outputs: int, inputs: int) -> int:
        """Return the output padding that makes ``outputs`` of ``inputs``."""
        return outputs - (inputs - 1) * self.stride - self.excess(0)


class Lowered(nn.Module):
    """The base of every rewritten layer: its two axes, and how to shift and crop maps by amounts known in advance."""

    def __init__(self, layer: nn.ConvTranspose2d) -> None:
        super().__init__()
        if layer.padding_mode != "zeros":
            raise ConversionError(
                f"transposed convolution with padding_mode '{layer.padding_mode}' is not supported; only 'zeros' is"
            )
        fields = (layer.kernel_size, layer.stride, layer.padding, layer.output_padding, layer.dilation)
        self.axes = tuple(Axis(*(int(field[i]) for field in fields)) for i in (0, 1))

    def excesses(self, x: Tensor, output_size: Sequence[int] | None) -> Pair:
        """Return both axes' ``excess``, for the layer's own output padding or for the output size asked for."""
        rows, columns = self.axes
        if output_size is None:
            return rows.excess(rows.output_padding), columns.excess(columns.output_padding)
        height, width = (int(side) for side in tuple(output_size)[-2:])
        extra = rows.output_padding_for(height, int(x.shape[2])), columns.output_padding_for(width, int(x.shape[3]))
        return rows.excess(extra[0]), columns.excess(extra[1])


class Interleaved(Lowered):
    """Phases that are computed apart and then put between each other, after an ``activation`` of each value."""

    def __init__(self, layer: nn.ConvTranspose2d) -> None:
        super().__init__(layer)
        self.activation: nn.Module = nn.Identity()


class SubPixel(Interleaved):
    """One convolution computes all phases as channels; a pixel shuffle interleaves them."""

    def __init__(self, layer: nn.ConvTranspose2d) -> None:
        super().__init__(layer)
        rows, columns = self.axes
        self.spans = rows.span(range(rows.stride)), columns.span(range(columns.stride))
        phases = [(y, x) for y in range(rows.stride) for x in range(columns.stride)]
        # out, phases, in / groups, kernel: pixel shuffle wants the phase to run faster than the channel
        weight = torch.stack([phase_weight(layer, self.axes, phase, self.spans) for phase in phases], dim=1)
        bias = None if layer.bias is None else layer.bias.detach().repeat_interleave(len(phases))
        self.conv = convolution(weight.flatten(0, 1), bias, layer.groups)

    def forward(self, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Take and give what the transposed convolution does."""
        excesses = self.excesses(x, output_size)
        phases = self.conv(place(x, [pads(*each) for each in zip(self.axes, self.spans, excesses, strict=True)]))
        return interleave(self.activation(phases), self.axes, excesses)


class Phases(Interleaved):
    """One small convolution per phase, with that phase's taps alone; their outputs interleave.

    Phase runs slower than channel here: a runtime that keeps channels together moves whole pixels, where ``SubPixel``
    makes it move single values.
    """

    def __init__(self, layer: nn.ConvTranspose2d) -> None:
        super().__init__(layer)
        rows, columns = self.axes
        self.spans, convolutions = [], []
        for phase in [(y, x) for y in range(rows.stride) for x in range(columns.stride)]:
            spans = rows.span(phase[:1]), columns.span(phase[1:])
            weight = phase_weight(layer, self.axes, phase, spans)
            bias = None if layer.bias is None else layer.bias.detach()
            convolutions.append(convolution(weight, bias, layer.groups))
            self.spans.append(spans)
        self.convs = nn.ModuleList(convolutions)

    def forward(self, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Take and give what the transposed convolution does."""
        excesses = self.excesses(x, output_size)
        phases = [
            self.activation(conv(place(x, [pads(*each) for each in zip(self.axes, spans, excesses, strict=True)])))
            for conv, spans in zip(self.convs, self.spans, strict=True)
        ]
        n, channels, height, width = phases[0].shape
        rows, columns = (axis.stride for axis in self.axes)
        split = torch.cat(phases, dim=1).reshape(n, rows, columns, channels, height, width)
        woven = split.permute(0, 3, 4, 1, 5, 2).reshape(n, channels, height * rows, width * columns)
        return trimmed(woven, self.axes, excesses)


class ZeroInsertion(Lowered):
    """``stride - 1`` zeros after every pixel, then one convolution with the kernel turned round."""

    def __init__(self, layer: nn.ConvTranspose2d) -> None:
        super().__init__(layer)
        bias = None if layer.bias is None else layer.bias.detach()
        self.conv = convolution(forward_weight(layer).flip(2, 3), bias, layer.groups, self.axes)

    def forward(self, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Take and give what the transposed convolution does."""
        excesses = self.excesses(x, output_size)
        rows, columns = self.axes
        n, c, height, width = x.shape
        spread = F.pad(x.reshape(n, c, height, 1, width, 1), (0, columns.stride - 1, 0, 0, 0, rows.stride - 1))
        spread = spread.reshape(n, c, height * rows.stride, width * columns.stride)
        sides = []
        for axis, excess in zip(self.axes, excesses, strict=True):
            before = axis.dilation * (axis.kernel - 1) - axis.padding
            # the map is (inputs - 1) stride + stride long; the convolution takes dilation (kernel - 1) off
            sides.append((before, excess + axis.padding - axis.stride))
        spread_out: Tensor = self.conv(place(spread, sides))
        return spread_out


class Dense(Lowered):
    """An ordinary transposed convolution whose kernel is zero across groups."""

    def __init__(self, layer: nn.ConvTranspose2d) -> None:
        super().__init__(layer)
        inputs, outputs = layer.in_channels // layer.groups, layer.out_channels // layer.groups
        weight = layer.weight.new_zeros((layer.in_channels, layer.out_channels, *layer.weight.shape[2:]))
        for group in range(layer.groups):
            rows = slice(group * inputs, (group + 1) * inputs)
            weight[rows, group * outputs : (group + 1) * outputs] = layer.weight.detach()[rows]
        self.conv = copy.deepcopy(layer)
        self.conv.groups = 1
        self.conv.weight = nn.Parameter(weight, requires_grad=False)

    def forward(self, x: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Take and give what the transposed convolution does."""
        dense: Tensor = self.conv(x, None if output_size is None else list(output_size))
        return dense


def _native(layer: nn.ConvTranspose2d) -> nn.Module:
    return layer


LOWERINGS: Mapping[str, Callable[[nn.ConvTranspose2d], nn.Module]] = {
    "native": _native,
    "dense": Dense,
    "subpixel": SubPixel,
    "phases": Phases,
    "zero_insertion": ZeroInsertion,
}


def forward_weight(layer: nn.ConvTranspose2d) -> Tensor:
    """Return the weight as out x in / groups x kernel, the order of an ordinary convolution."""
    blocks = layer.weight.detach().reshape(layer.groups, -1, *layer.weight.shape[1:])
    return blocks.transpose(1, 2).flatten(0, 1)


def phase_weight(
    layer: nn.ConvTranspose2d, axes: Sequence[Axis], phase: Pair, spans: Sequence[tuple[int, int]]
) -> Tensor:
    """Return one phase's taps as an ordinary kernel, out x in / groups x the spans' lengths; 0 if no tap is."""
    source = forward_weight(layer)
    (top, bottom), (left, right) = spans
    weight = source.new_zeros((*source.shape[:2], bottom - top + 1, right - left + 1))
    for row, tap_y in axes[0].taps(phase[0]):
        for column, tap_x in axes[1].taps(phase[1]):
            weight[:, :, row - top, column - left] = source[:, :, tap_y, tap_x]
    return weight


def convolution(weight: Tensor, bias: Tensor | None, groups: int, axes: Sequence[Axis] = ()) -> nn.Conv2d:
    """Return an unpadded convolution with stride 1; ``axes`` give its dilation."""
    dilation = (axes[0].dilation, axes[1].dilation) if axes else (1, 1)
    outputs, inputs, height, width = weight.shape
    made = nn.Conv2d(inputs * groups, outputs, (height, width), dilation=dilation, groups=groups, bias=bias is not None)
    made.weight = nn.Parameter(weight.contiguous(), requires_grad=False)
    if bias is not None:
        made.bias = nn.Parameter(bias.clone(), requires_grad=False)
    return made


def pads(axis: Axis, span: tuple[int, int], excess: int) -> Pair:
    """Return how far the input must reach beyond its first and its last pixel (negative: end before)."""
    return -span[0], math.ceil(excess / axis.stride) - 1 + span[1]


def place(x: Tensor, sides: Sequence[Pair]) -> Tensor:
    """Pad each axis with zeros, or crop it if an amount is negative; slices, since runtimes refuse negative pads."""
    (top, bottom), (left, right) = sides
    if min(top, bottom, left, right) < 0:
        x = x[:, :, max(0, -top) : _end(x.shape[2], bottom), max(0, -left) : _end(x.shape[3], right)]
    if max(top, bottom, left, right) > 0:
        x = F.pad(x, (max(0, left), max(0, right), max(0, top), max(0, bottom)))
    return x


def _end(length: int, beyond: int) -> int:
    return length + min(0, beyond)


def interleave(phases: Tensor, axes: Sequence[Axis], excesses: Pair) -> Tensor:
    """Turn N x (channels x phases) x H x W into the output's height and width."""
    rows, columns = (axis.stride for axis in axes)
    if rows == columns:
        woven = phases if rows == 1 else F.pixel_shuffle(phases, rows)
    else:
        n, channels, height, width = phases.shape
        split = phases.reshape(n, channels // (rows * columns), rows, columns, height, width)
        woven = split.permute(0, 1, 4, 2, 5, 3).reshape(n, -1, height * rows, width * columns)
    return trimmed(woven, axes, excesses)


def trimmed(woven: Tensor, axes: Sequence[Axis], excesses: Pair) -> Tensor:
    """Cut off the rows and columns by which whole phases are larger than the output."""
    surplus = [-excess % axis.stride for axis, excess in zip(axes, excesses, strict=True)]
    return place(woven, [(0, -amount) for amount in surplus]) if any(surplus) else woven
