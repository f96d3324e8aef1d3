"""FCN-8s: VGG-16 with its classifier as convolutions, and three learned upsamplings that add in pool4 and pool3.

Shelhamer, Long and Darrell 2017, in the layout of their published model: the first convolution pads by 100, pooling
rounds up, fc6 is 7x7 without padding, and every map is cropped by the offset that this gives it (5, 9 and 31), which
holds for every input size. The transposed convolutions have no bias, join all classes and start as bilinear
interpolation; all are learned. Exactly the 134,507,010 parameters at 22 classes that the paper counts, and the
padding explains why the paper measures it slower than SegNet: it nearly doubles the side at 224x224.
"""

import torch
from torch import Tensor, nn

from segfast_edge.model.blocks import initialise, static_size
from segfast_edge.model.vgg import VGG16, convolutions


class Fcn8s(nn.Module):
    """VGG-16 down to 1/32, scores at 1/32, 1/16 and 1/8, and upsampling by 2, 2 and 8."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.stages = nn.ModuleList()
        width = 3
        for widths in VGG16:
            self.stages.append(convolutions(width, widths, normalised=False))
            width = widths[-1]
        first = self.stages[0].get_submodule("conv1")
        assert isinstance(first, nn.Conv2d)
        first.padding = (100, 100)
        self.pool = nn.MaxPool2d(2, ceil_mode=True)
        self.fc6 = nn.Sequential(nn.Conv2d(512, 4096, 7), nn.ReLU(inplace=True), nn.Dropout(0.5))
        self.fc7 = nn.Sequential(nn.Conv2d(4096, 4096, 1), nn.ReLU(inplace=True), nn.Dropout(0.5))
        self.score7 = nn.Conv2d(4096, classes, 1)
        self.score4 = nn.Conv2d(512, classes, 1)
        self.score3 = nn.Conv2d(256, classes, 1)
        self.up2 = nn.ConvTranspose2d(classes, classes, 4, 2, bias=False)
        self.up4 = nn.ConvTranspose2d(classes, classes, 4, 2, bias=False)
        self.up8 = nn.ConvTranspose2d(classes, classes, 16, 8, bias=False)
        initialise(self)
        for up in (self.up2, self.up4, self.up8):
            interpolate_bilinearly(up)

    def forward(self, x: Tensor) -> Tensor:
        """Take normalised N x 3 x H x W; give logits N x classes x H x W."""
        size = static_size(x)
        pooled = []
        for stage in self.stages:
            x = self.pool(stage(x))
            pooled.append(x)
        x = self.up2(self.score7(self.fc7(self.fc6(x))))
        x = self.up4(x + _window(self.score4(pooled[3]), 5, static_size(x)))
        x = self.up8(x + _window(self.score3(pooled[2]), 9, static_size(x)))
        return _window(x, 31, size)


def _window(x: Tensor, offset: int, size: tuple[int, int]) -> Tensor:
    return x[:, :, offset : offset + size[0], offset : offset + size[1]]


@torch.no_grad()
def interpolate_bilinearly(layer: nn.ConvTranspose2d) -> None:
    """Make a square transposed convolution interpolate each channel by itself, for a kernel of twice the stride."""
    kernel, stride = layer.kernel_size[0], layer.stride[0]
    distance = (torch.arange(kernel) - (kernel - 1) / 2).abs()
    weights = (1 - distance / stride).to(layer.weight)
    layer.weight.zero_()
    layer.weight.diagonal().copy_(torch.outer(weights, weights)[..., None])


def build(classes: int) -> nn.Module:
    """Build FCN-8s for ``classes`` classes."""
    return Fcn8s(classes)
