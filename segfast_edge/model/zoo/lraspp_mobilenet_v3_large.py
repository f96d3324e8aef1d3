"""LR-ASPP on MobileNetV3-Large, as torchvision has it.

Howard et al. 2019. torchvision's own modules with random weights; only the last upsampling is written here, so that a
traced graph holds the input's size as a number.
"""

from torch import Tensor, nn

from segfast_edge.model.blocks import resize, static_size
from segfast_edge.model.torchvision_shim import import_torchvision


class Lraspp(nn.Module):
    """torchvision's backbone and head, and bilinear upsampling to the input's size."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        segmentation = import_torchvision("torchvision.models.segmentation")
        theirs = segmentation.lraspp_mobilenet_v3_large(weights=None, weights_backbone=None, num_classes=classes)
        self.backbone, self.classifier = theirs.backbone, theirs.classifier

    def forward(self, x: Tensor) -> Tensor:
        """Take normalised N x 3 x H x W; give logits N x classes x H x W."""
        return resize(self.classifier(self.backbone(x)), static_size(x))


def build(classes: int) -> nn.Module:
    """Build LR-ASPP for ``classes`` classes."""
    return Lraspp(classes)
