"""Fast-SCNN: learning to downsample, a global feature extractor, feature fusion at 1/8.

Poudel, Liwicki and Cipolla 2019, table 1; its separable convolutions have no ReLU between depthwise and pointwise.
Choices of our own: the pyramid pools equal windows (kernel ``size - (bins - 1) * stride``, stride ``size // bins``),
which is adaptive pooling wherever the bins divide the map and a plain average pooling, which every runtime has,
everywhere; and maps of lower resolution are resized to the higher map's exact size, so any input size works.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segfast_edge.model.blocks import (
    conv_bn_relu,
    depthwise,
    initialise,
    pointwise,
    resize,
    separable_conv,
    static_size,
)


class Bottleneck(nn.Module):
    """MobileNetV2's inverted residual with expansion 6."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        wide = 6 * inputs
        self.expand = pointwise(inputs, wide)
        self.depthwise = depthwise(wide, stride=stride)
        self.project = pointwise(wide, outputs, relu=False)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Take N x inputs x H x W; give N x outputs x H/stride x W/stride."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.residual else y


class PyramidPooling(nn.Module):
    """Averages over 1, 2, 3 and 6 bins per side, each through a quarter of the channels, beside the map itself."""

    BINS = (1, 2, 3, 6)

    def __init__(self, channels: int) -> None:
        super().__init__()
        quarter = channels // len(self.BINS)
        self.branches = nn.ModuleList(pointwise(channels, quarter) for _ in self.BINS)
        self.merge = pointwise(2 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        """Take and give N x channels x H x W."""
        size = static_size(x)
        maps = [x]
        for bins, branch in zip(self.BINS, self.branches, strict=True):
            stride = [max(1, side // bins) for side in size]
            kernel = [side - (min(bins, side) - 1) * step for side, step in zip(size, stride, strict=True)]
            maps.append(resize(branch(F.avg_pool2d(x, kernel, stride)), size))
        merged: Tensor = self.merge(torch.cat(maps, dim=1))
        return merged


class FastScnn(nn.Module):
    """Down to 1/8, on to 1/32 with global context, and the two fused at 1/8."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.down = nn.Sequential(
            conv_bn_relu(3, 32, 3, stride=2),
            separable_conv(32, 48, stride=2, relu_between=False),
            separable_conv(48, 64, stride=2, relu_between=False),
        )
        self.extract = nn.Sequential()
        width = 64
        for outputs, stride in ((64, 2), (96, 2), (128, 1)):
            for repeat in range(3):
                self.extract.append(Bottleneck(width, outputs, stride=stride if repeat == 0 else 1))
                width = outputs
        self.pyramid = PyramidPooling(128)
        self.low = nn.Sequential(depthwise(128, dilation=4), pointwise(128, 128, relu=False))
        self.high = pointwise(64, 128, relu=False)
        self.head = nn.Sequential(
            separable_conv(128, 128, relu_between=False),
            separable_conv(128, 128, relu_between=False),
            nn.Dropout(0.1),
        )
        self.classifier = nn.Conv2d(128, classes, 1)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Take normalised N x 3 x H x W; give logits N x classes x H x W."""
        high = self.down(x)
        low = resize(self.pyramid(self.extract(high)), static_size(high))
        fused = F.relu(self.high(high) + self.low(low))
        return resize(self.classifier(self.head(fused)), static_size(x))


def build(classes: int) -> nn.Module:
    """Build Fast-SCNN for ``classes`` classes."""
    return FastScnn(classes)
