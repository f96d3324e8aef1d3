"""VGG-16's convolutions, which ``segnet`` and ``fcn8s`` share."""

from torch import nn

# widths per stage, pooling between
VGG16: tuple[tuple[int, ...], ...] = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))


def convolutions(inputs: int, widths: tuple[int, ...], *, normalised: bool) -> nn.Sequential:
    """3x3 convolutions with bias, one after the other, each followed by BN (if ``normalised``) and ReLU."""
    layers = nn.Sequential()
    for number, width in enumerate(widths, start=1):
        layers.add_module(f"conv{number}", nn.Conv2d(inputs, width, 3, padding=1))
        if normalised:
            layers.add_module(f"bn{number}", nn.BatchNorm2d(width))
        layers.add_module(f"relu{number}", nn.ReLU(inplace=True))
        inputs = width
    return layers
