"""The layers that the networks are made of.

Every batch normalisation directly follows its convolution, as ``conv`` and ``bn`` of one ``nn.Sequential``, so that
the export side can fold it; every transposed convolution is a real ``nn.ConvTranspose2d``, so that it can be rewritten.
"""

import math
import warnings
from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv_bn_relu(inputs: int, outputs: int, kernel: int = 1, *, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution without bias (the normalisation has one), padded to keep ceil(size / stride), BN and ReLU."""
    return _normalised(nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False), relu=True)


def pointwise(inputs: int, outputs: int, *, relu: bool = True) -> nn.Sequential:
    """Convolution 1x1 without bias, BN and, if asked, ReLU."""
    return _normalised(nn.Conv2d(inputs, outputs, 1, bias=False), relu=relu)


def depthwise(
    channels: int, kernel: int = 3, *, stride: int = 1, dilation: int = 1, relu: bool = True
) -> nn.Sequential:
    """Depthwise convolution without bias, padded to keep ceil(size / stride), BN and, if asked, ReLU."""
    layer = nn.Conv2d if dilation == 1 else DilatedConv2d
    padding = dilation * (kernel // 2)
    return _normalised(layer(channels, channels, kernel, stride, padding, dilation, channels, bias=False), relu=relu)


class DilatedConv2d(nn.Conv2d):
    """A convolution that computes in float32 also under CPU autocast.

    In bfloat16 and channels_last the CPU's weight gradient of a dilated depthwise convolution is wrong by more than
    its own size for some shapes, infinite for others (torch 2.13, 16 or 32 channels, 32x32; AVX-512 BF16).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Take N x inputs x H x W; give N x outputs x H x W."""
        if x.device.type == "cpu" and torch.is_autocast_enabled("cpu"):
            with torch.autocast("cpu", enabled=False):
                return super().forward(x.float())
        return super().forward(x)


def up_bn(inputs: int, outputs: int, *, groups: int = 1, relu: bool = True) -> nn.Sequential:
    """Transposed convolution 2x2 with stride 2 (exactly twice the size) without bias, BN and, if asked, ReLU."""
    return _normalised(nn.ConvTranspose2d(inputs, outputs, 2, 2, groups=groups, bias=False), relu=relu)


class Normalised(nn.Sequential):
    """Convolution ``conv``, BN ``bn`` and, if asked, ReLU ``relu``; always run as a whole, so that export may fuse."""


def _normalised(conv: nn.Conv2d | nn.ConvTranspose2d, *, relu: bool) -> Normalised:
    norm = nn.BatchNorm2d(conv.out_channels)
    if relu:
        return Normalised(OrderedDict(conv=conv, bn=norm, relu=nn.ReLU(inplace=True)))
    nn.init.constant_(norm.weight, math.sqrt(0.5))  # He's weights double the variance, which no ReLU halves here
    return Normalised(OrderedDict(conv=conv, bn=norm))


def separable_conv(inputs: int, outputs: int, *, stride: int = 1, relu_between: bool = True) -> nn.Sequential:
    """Depthwise 3x3 then pointwise 1x1, each with BN and ReLU (the first without, if not ``relu_between``)."""
    first = depthwise(inputs, stride=stride, relu=relu_between)
    return nn.Sequential(OrderedDict(depthwise=first, pointwise=pointwise(inputs, outputs)))


def separable_up(inputs: int, outputs: int) -> nn.Sequential:
    """Depthwise transposed 2x2 with stride 2, then pointwise 1x1, each with BN and ReLU."""
    first = up_bn(inputs, inputs, groups=inputs)
    return nn.Sequential(OrderedDict(depthwise=first, pointwise=pointwise(inputs, outputs)))


def static_size(x: Tensor) -> tuple[int, int]:
    """Return height and width as plain numbers, also while torch.jit traces: an artifact has one input size."""
    if not torch._C._is_tracing():  # what torch.jit.is_tracing asks, which torch does not export to type checkers
        return x.shape[-2], x.shape[-1]
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Converting a tensor to a Python integer")
        return int(x.shape[-2]), int(x.shape[-1])


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """Pad right and bottom with zeros (the mean colour, as every convolution's own border) to multiples.

    With this at the input and ``crop`` at the output every map inside halves and doubles exactly, so decoder and
    encoder maps always match: two ops that every runtime has, instead of one per stage, and none if they are
    not needed.
    """
    height, width = static_size(x)
    right, bottom = -width % multiple, -height % multiple
    return F.pad(x, (0, right, 0, bottom)) if right or bottom else x


def crop(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Keep the top left ``size`` (height, width) of a map, which undoes ``pad_to_multiple``."""
    return x if static_size(x) == size else x[:, :, : size[0], : size[1]]


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize a map bilinearly, half-pixel centres (``align_corners=False``, what every runtime can do)."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


class HalfSize(nn.Module):
    """A network that computes logits at half the size of its input and enlarges them bilinearly.

    Apart from each other so that an exporter can write the second step in the form that its runtime does best.
    """

    def coarse(self, x: Tensor) -> Tensor:
        """Take normalised N x 3 x H x W; give logits of half H and W, each rounded up to what the network needs."""
        raise NotImplementedError

    def forward(self, x: Tensor) -> Tensor:
        """Take normalised N x 3 x H x W; give logits N x classes x H x W."""
        half = self.coarse(x)
        height, width = static_size(half)
        return crop(resize(half, (2 * height, 2 * width)), static_size(x))


def initialise(network: nn.Module) -> None:
    """Draw every weight from He's normal distribution for ReLU, by the inputs that one output really sums.

    torch's own ``kaiming_normal_`` takes a grouped or transposed convolution's fan from its weight's shape, which
    is off by the groups or by the stride.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            taps = math.prod(layer.kernel_size)
            if isinstance(layer, nn.ConvTranspose2d):
                taps = max(1, taps // math.prod(layer.stride))
            fan_in = layer.in_channels // layer.groups * taps
            nn.init.normal_(layer.weight, 0.0, math.sqrt(2 / fan_in))
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
