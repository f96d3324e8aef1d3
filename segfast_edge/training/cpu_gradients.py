"""Layers whose gradients torch 2.13 computes slowly on a CPU, in faster forms."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def with_fast_upsampling(network: nn.Module) -> nn.Module:
    """Give depthwise transposed convolutions that only repeat and scale their input a forward pass that does just that.

    The network is changed in place and returned; weights keep their names, results and gradients their bits. torch's
    own forward took 4 to 30 times as long (bfloat16, channels_last, 128 to 512 channels) and 15 % of segfast's step.
    """
    for layer in network.modules():
        if type(layer) is nn.ConvTranspose2d and _scales_only(layer):  # a subclass may compute anything
            layer.__class__ = _ScaledCopies
    return network


def with_fast_depthwise(network: nn.Module) -> nn.Module:
    """Give 3x3 and 5x5 depthwise convolutions a backward pass in bfloat16 that uses oneDNN's fast kernels only.

    The network is changed in place and returned; weights keep their names. Two cases fall back to a loop in torch
    2.13: the input's gradient with a stride (144 channels, 5x5 over 60x80, batch 8: 63 ms, here 3.4 ms, one thread of
    an AVX-512 server) and the weight's gradient of a 5x5 kernel (240 channels over 30x40: 52 ms, here 6 ms). The
    results differ by bfloat16's rounding of the last step.
    """
    for layer in network.modules():
        if type(layer) is nn.Conv2d and _plain_depthwise(layer):
            layer.__class__ = _DepthwiseConv2d
    return network


def _plain_depthwise(layer: nn.Conv2d) -> bool:
    size = layer.kernel_size[0]
    return (
        layer.groups == layer.in_channels == layer.out_channels
        and layer.kernel_size in ((3, 3), (5, 5))
        and layer.padding == (size // 2, size // 2)
        and layer.padding_mode == "zeros"
        and layer.stride in ((1, 1), (2, 2))
        and layer.dilation == (1, 1)
        and layer.bias is None
    )


def _scales_only(layer: nn.ConvTranspose2d) -> bool:
    """Whether every output is one input times one weight."""
    return (
        layer.groups == layer.in_channels == layer.out_channels
        and layer.kernel_size == layer.stride
        and layer.bias is None
        and not any((*layer.output_padding, *map(int, layer.padding)))
        and layer.dilation == (1, 1)
    )


class _ScaledCopies(nn.ConvTranspose2d):
    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: A002 - torch's name
        autocast = torch.is_autocast_enabled("cpu")
        as_usual = input.device.type != "cpu" or output_size is not None or input.ndim != 4
        if as_usual or not (autocast or input.dtype == self.weight.dtype):
            return super().forward(input, output_size)
        reduced = torch.get_autocast_dtype("cpu") if autocast else input.dtype
        copies: Any = _Copies  # torch declares no types for ``apply``
        result: Tensor = copies.apply(input.to(reduced), self.weight.to(reduced))
        last = input.is_contiguous(memory_format=torch.channels_last)
        return result if last else result.contiguous()


class _Copies(torch.autograd.Function):
    """Input N x C x H x W and weight C x 1 x K x L give N x C x KH x LW, stored with channels last."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        (count, channels, height, width), (high, wide) = x.shape, weight.shape[2:]
        rows = x.permute(0, 2, 3, 1).reshape(count * height, 1, width, channels)
        taps = weight.permute(2, 3, 1, 0).reshape(high, 1, wide * channels)
        copies = torch.cat([rows] * wide, -1) * taps
        return copies.reshape(count, height * high, width * wide, channels).permute(0, 3, 1, 2)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        size, none = list(weight.shape[2:]), [0, 0]
        found = torch.ops.aten.convolution_backward(
            gradient, x, weight, None, size, none, [1, 1], True, none, x.shape[1], [*ctx.needs_input_grad, False]
        )
        return found[0], found[1]


class _DepthwiseConv2d(nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name
        reduced = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") is torch.bfloat16
        if input.device.type != "cpu" or not reduced:
            return super().forward(input)
        convolution: Any = _Depthwise  # torch declares no types for ``apply``
        result: Tensor = convolution.apply(input.bfloat16(), self.weight.bfloat16(), self.stride[0])
        return result


class _Depthwise(torch.autograd.Function):
    """Input N x C x H x W and weight C x 1 x K x K, K of 3 or 5 with a padding of K // 2."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return torch.conv2d(x, weight, None, stride, weight.shape[-1] // 2, 1, x.shape[1])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight = ctx.saved_tensors
        gradient = gradient.contiguous(memory_format=torch.channels_last)
        by_input = _input_gradient(gradient, x, weight, ctx.stride) if ctx.needs_input_grad[0] else None
        by_weight = _weight_gradient(gradient, x, weight, ctx.stride) if ctx.needs_input_grad[1] else None
        return by_input, by_weight, None


def _native(gradient: Tensor, x: Tensor, weight: Tensor, stride: int, padding: int, which: list[bool]) -> Any:
    return torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], x.shape[1], which
    )


def _input_gradient(gradient: Tensor, x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Convolve the gradient, its places the stride apart and zeros between, with the kernel turned round."""
    half = weight.shape[-1] // 2
    if stride == 1:
        found: Tensor = _native(gradient, x, weight, 1, half, [True, False, False])[0]
        return found
    spread = torch.zeros_like(x, memory_format=torch.channels_last)
    spread[:, :, ::stride, ::stride] = gradient
    return torch.conv2d(spread, weight.flip(2, 3), None, 1, half, 1, x.shape[1])


def _weight_gradient(gradient: Tensor, x: Tensor, weight: Tensor, stride: int) -> Tensor:
    """Put a 5x5 kernel's gradient together from those of four 3x3 kernels, one in each corner, that overlap."""
    if weight.shape[-1] == 3:
        found: Tensor = _native(gradient, x, weight, stride, 1, [False, True, False])[1]
        return found
    padded = F.pad(x, (2, 2, 2, 2))
    rows, columns = (stride * (side - 1) + 3 for side in gradient.shape[2:])
    result, corner = torch.empty_like(weight), weight[:, :, :3, :3].contiguous()
    for top in (0, 2):
        for left in (0, 2):
            window = padded[:, :, top : top + rows, left : left + columns]
            window = window.contiguous(memory_format=torch.channels_last)
            part = _native(gradient, window, corner, stride, 0, [False, True, False])[1]
            result[:, :, top : top + 3, left : left + 3] = part
    return result
