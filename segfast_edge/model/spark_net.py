"""The paper's encoder and decoder, which ``segfast`` and ``segfast_basic`` share."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segfast_edge.model.blocks import (
    HalfSize,
    conv_bn_relu,
    initialise,
    pad_to_multiple,
    separable_conv,
    separable_up,
    up_bn,
)
from segfast_edge.model.spark import Spark


class UpStage(nn.Module):
    """Twice the size by a transposed convolution, concatenation with the encoder's map, and a 3x3 convolution."""

    def __init__(self, inputs: int, skip: int, outputs: int, *, separable: bool) -> None:
        super().__init__()
        self.up = separable_up(inputs, outputs) if separable else up_bn(inputs, outputs)
        fused = outputs + skip
        self.fuse = separable_conv(fused, outputs) if separable else conv_bn_relu(fused, outputs, 3)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Take N x inputs x H x W and N x skip x 2H x 2W; give N x outputs x 2H x 2W."""
        fused: Tensor = self.fuse(torch.cat([self.up(x), skip], dim=1))
        return fused


def _block(inputs: int, *sparks: tuple[int, int], separable: bool) -> nn.Sequential:
    """Two or more sparks, each given as (squeeze, expand)."""
    block = nn.Sequential()
    for squeeze, expand in sparks:
        block.append(Spark(inputs, squeeze, expand, separable=separable))
        inputs = 2 * expand
    return block


class SparkNet(HalfSize):
    """SqueezeNet 1.1's widths down to 1/16, three stages up to 1/2, a classifier, bilinear upsampling to full size."""

    def __init__(self, classes: int, *, separable: bool) -> None:
        super().__init__()
        self.block1 = conv_bn_relu(3, 64, 3, stride=2)
        self.block2 = _block(64, (16, 64), (16, 64), separable=separable)
        self.block3 = _block(128, (32, 128), (32, 128), separable=separable)
        self.block4 = _block(256, (48, 192), (48, 192), (64, 256), (64, 256), separable=separable)
        self.up3 = UpStage(512, 256, 256, separable=separable)
        self.up2 = UpStage(256, 128, 128, separable=separable)
        self.up1 = UpStage(128, 64, 64, separable=separable)
        self.classifier = nn.Conv2d(64, classes, 1)
        initialise(self)

    def coarse(self, x: Tensor) -> Tensor:
        """Take normalised N x 3 x H x W; give logits N x classes, at half H and W rounded up to a multiple of 16."""
        x = pad_to_multiple(x, 16)
        half = self.block1(x)
        quarter = self.block2(F.avg_pool2d(half, 2))
        eighth = self.block3(F.avg_pool2d(quarter, 2))
        x = self.block4(F.avg_pool2d(eighth, 2))
        logits: Tensor = self.classifier(self.up1(self.up2(self.up3(x, eighth), quarter), half))
        return logits
