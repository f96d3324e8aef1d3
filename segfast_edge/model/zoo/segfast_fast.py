"""SegFast-Fast: SegFast reordered: 36 % of its work, a wider view, no more parameters.

SegFast spends 84 % of its MACs in the decoder, on pointwise layers over wide maps, and mixes neighbours in its encoder
on 16 to 64 channels only. What is different here:

- Pointwise before the transposed depthwise convolution, so it runs on a quarter of the pixels, and 120, 64 and 32
  channels instead of 256, 128 and 64.
- The transposed convolution starts as nearest-neighbour upsampling. At random it would start as a checkerboard, which
  SegFast's pointwise layer after it averages away and the one before it here cannot.
- Strided separable convolutions in place of average pooling, and half the channels at 1/2, where a channel costs most.
- What this saves goes to 1/16, where a parameter costs least: eight residual sparks, each with a 3x3 and a 5x5
  depthwise layer in a row, so that every pixel sees the whole scene. Not dilated: the same view without holes, and
  bfloat16 training can trust its gradients (see ``blocks.DilatedConv2d``).
- Each of them starts close to the identity: the last normalisation's scale is small (Goyal et al. 2017, section 5.1,
  have zero, which was worth seven points of mIoU after 20 epochs on CamVid at 160x208; 0.1 is near it and
  leaves an untrained network that int8 can represent).

Only convolutions, ReLU, addition, concatenation and one resizing, which every runtime has in int8.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segfast_edge.model.blocks import (
    HalfSize,
    conv_bn_relu,
    depthwise,
    initialise,
    pad_to_multiple,
    pointwise,
    separable_conv,
    up_bn,
)


class WideSpark(nn.Module):
    """Squeeze 1x1, depthwise 3x3 and then 5x5, one expand over all three maps, plus the input."""

    def __init__(self, channels: int, squeeze: int) -> None:
        super().__init__()
        self.squeeze = pointwise(channels, squeeze)
        self.near = depthwise(squeeze)
        self.far = depthwise(squeeze, 5)
        self.expand = pointwise(3 * squeeze, channels, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """Take and give N x channels x H x W."""
        squeezed = self.squeeze(x)
        near = self.near(squeezed)
        return F.relu(x + self.expand(torch.cat([squeezed, near, self.far(near)], dim=1)))


class FastUpStage(nn.Module):
    """Pointwise at low resolution, depthwise transposed 2x2, the encoder's map beside it, separable 3x3."""

    def __init__(self, inputs: int, skip: int, outputs: int) -> None:
        super().__init__()
        self.reduce = pointwise(inputs, outputs)
        self.up = up_bn(outputs, outputs, groups=outputs)
        self.fuse = separable_conv(outputs + skip, outputs)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        """Take N x inputs x H x W and N x skip x 2H x 2W; give N x outputs x 2H x 2W."""
        fused: Tensor = self.fuse(torch.cat([self.up(self.reduce(x)), skip], dim=1))
        return fused


class SegFastFast(HalfSize):
    """Down to 1/16, three stages up to 1/2, a classifier, bilinear upsampling to full size."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.block1 = conv_bn_relu(3, 32, 3, stride=2)
        self.block2 = nn.Sequential(separable_conv(32, 64, stride=2), WideSpark(64, 16))
        self.block3 = nn.Sequential(separable_conv(64, 128, stride=2), *(WideSpark(128, 32) for _ in range(3)))
        self.block4 = nn.Sequential(separable_conv(128, 192, stride=2), *(WideSpark(192, 64) for _ in range(8)))
        self.up3 = FastUpStage(192, 128, 120)
        self.up2 = FastUpStage(120, 64, 64)
        self.up1 = FastUpStage(64, 32, 32)
        self.classifier = nn.Conv2d(32, classes, 1)
        initialise(self)
        for stage in (self.up3, self.up2, self.up1):
            nn.init.ones_(stage.up.get_parameter("conv.weight"))
        for layer in self.modules():
            if isinstance(layer, WideSpark):
                nn.init.constant_(layer.expand.get_parameter("bn.weight"), 0.1)

    def coarse(self, x: Tensor) -> Tensor:
        """Take normalised N x 3 x H x W; give logits N x classes, at half H and W rounded up to a multiple of 16."""
        half = self.block1(pad_to_multiple(x, 16))
        quarter = self.block2(half)
        eighth = self.block3(quarter)
        fused = self.up1(self.up2(self.up3(self.block4(eighth), eighth), quarter), half)
        logits: Tensor = self.classifier(fused)
        return logits


def build(classes: int) -> nn.Module:
    """Build SegFast-Fast for ``classes`` classes."""
    return SegFastFast(classes)
