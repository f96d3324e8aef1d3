"""The spark module, of which the paper's networks are made."""

import torch
from torch import Tensor, nn

from segfast_edge.model.blocks import conv_bn_relu, pointwise, separable_conv


class Spark(nn.Module):
    """Squeeze 1x1, then expand 1x1 beside expand 3x3, concatenated to 2 x ``expand`` channels.

    The 3x3 side is depthwise 3x3 + pointwise 1x1 (the paper's spark) or, if not ``separable``, an ordinary
    convolution (SqueezeNet's fire).
    """

    def __init__(self, inputs: int, squeeze: int, expand: int, *, separable: bool = True) -> None:
        super().__init__()
        self.squeeze = pointwise(inputs, squeeze)
        self.expand1 = pointwise(squeeze, expand)
        self.expand3 = separable_conv(squeeze, expand) if separable else conv_bn_relu(squeeze, expand, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Take N x inputs x H x W; give N x 2 expand x H x W."""
        squeezed = self.squeeze(x)
        return torch.cat([self.expand1(squeezed), self.expand3(squeezed)], dim=1)
