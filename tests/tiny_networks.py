"""Networks of a few hundred weights for tests, named ``tiny_networks:plain`` and so on as users name their own."""

import torch
from torch import nn


class Upsampled(nn.Module):
    """Any layers that halve the size once, and bilinear upsampling back."""

    def __init__(self, *layers):
        super().__init__()
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return nn.functional.interpolate(self.layers(x), x.shape[2:], mode="bilinear", align_corners=False)


def plain(classes):
    return Upsampled(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, classes, 3, 1, 1))


def normalised(classes):
    """With batch normalisation and dropout: running statistics and randomness."""
    return Upsampled(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout2d(0.2), nn.Conv2d(8, classes, 3, 1, 1)
    )


class _Overflowing(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x):
        if self.training:
            self.calls += 1
        return x / (0.0 if self.calls >= 4 else 1.0)


def overflowing(classes):
    """Gives infinities from its fourth training step on, in layer ``layers.1``."""
    return Upsampled(nn.Conv2d(3, 8, 3, 2, 1), _Overflowing(), nn.Conv2d(8, classes, 3, 1, 1))


class _Hungry(nn.Conv2d):
    def forward(self, input):  # noqa: A002 - torch's name
        if len(input) > 2 and self.training:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return super().forward(input)


def hungry(classes):
    """Runs out of memory with more than two frames at once."""
    return Upsampled(_Hungry(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, classes, 3, 1, 1))


class _Spare(Upsampled):
    def __init__(self, *layers):
        super().__init__(*layers)
        self.spare = nn.Conv2d(3, 3, 1)


def spare(classes):
    """Has a layer that it never calls."""
    return _Spare(nn.Conv2d(3, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, classes, 3, 1, 1))
