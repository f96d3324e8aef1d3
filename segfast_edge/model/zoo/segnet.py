"""SegNet: VGG-16 with batch normalisation, mirrored by a decoder that unpools with the encoder's indices.

Badrinarayanan, Kendall and Cipolla 2017. Every convolution has a bias, also before a BN, and the last one neither BN
nor ReLU: exactly the 29,455,702 parameters at 22 classes that the paper counts. The input is padded to multiples of
32, so each of the five poolings halves exactly and each unpooling gives back the size that was pooled.
"""

from torch import Tensor, nn

from segfast_edge.model.blocks import crop, initialise, pad_to_multiple, static_size
from segfast_edge.model.unpooling import IndexPool, IndexUnpool
from segfast_edge.model.vgg import VGG16, convolutions

DECODER: tuple[tuple[int, ...], ...] = ((512, 512, 512), (512, 512, 256), (256, 256, 128), (128, 64), (64,))


class SegNet(nn.Module):
    """Five stages down, five up, and a 3x3 classifier at full size."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.encoder, self.decoder = nn.ModuleList(), nn.ModuleList()
        width = 3
        for widths in VGG16:
            self.encoder.append(convolutions(width, widths, normalised=True))
            width = widths[-1]
        for widths in DECODER:
            self.decoder.append(convolutions(width, widths, normalised=True))
            width = widths[-1]
        self.pool = IndexPool()
        self.unpool = IndexUnpool()
        self.classifier = nn.Conv2d(width, classes, 3, padding=1)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """Take normalised N x 3 x H x W; give logits N x classes x H x W."""
        size = static_size(x)
        x = pad_to_multiple(x, 32)
        taken = []
        for stage in self.encoder:
            x, indices = self.pool(stage(x))
            taken.append(indices)
        for stage in self.decoder:
            x = stage(self.unpool(x, taken.pop()))
        return crop(self.classifier(x), size)


def build(classes: int) -> nn.Module:
    """Build SegNet for ``classes`` classes."""
    return SegNet(classes)
