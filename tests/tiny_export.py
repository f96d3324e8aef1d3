"""Networks of a few hundred weights with what exporting is about, and checkpoints of them."""

import torch
from torch import nn

from segfast_edge.contract.classes import ClassSet, distinct_palette
from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.model import build
from segfast_edge.model.checkpoint import Checkpoint

CLASSES = ClassSet(("road", "side walk", "car", "sky", "tree"), distinct_palette(5))


class Decoder(nn.Module):
    """Convolutions with BN, a depthwise and an ordinary transposed convolution, a skip, bilinear upsampling."""

    def __init__(self, classes):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.down = nn.Sequential(nn.Conv2d(8, 8, 3, 4, 1, groups=4), nn.BatchNorm2d(8), nn.ReLU())
        self.up = nn.Sequential(nn.ConvTranspose2d(8, 8, 2, 2, groups=8, bias=False), nn.BatchNorm2d(8), nn.ReLU())
        self.up_again = nn.ConvTranspose2d(8, 6, 3, 2, 1, 1)
        self.classify = nn.Conv2d(14, classes, 1)

    def forward(self, x):
        half = self.stem(x)
        y = self.up_again(self.up(self.down(half)))
        scores = self.classify(torch.cat([y, half], 1))
        return nn.functional.interpolate(scores, scale_factor=2.0, mode="bilinear", align_corners=False)


class Branch(nn.Module):
    """Decides by the values it sees."""

    def forward(self, x):
        return x if x.mean() > 0 else -x


class Odd(nn.Module):
    """Uses an operator that no format has."""

    def forward(self, x):
        return x + torch.linalg.svdvals(x[0, 0]).sum()


def decoder(classes):
    return Decoder(classes)


class Shuffled(nn.Module):
    """Mixes the channels of two branches as ShuffleNet does, before a depthwise convolution."""

    def __init__(self, classes):
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(3, 4, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.classify = nn.Conv2d(8, classes, 1)

    def forward(self, x):
        both = torch.cat([self.left(x), self.right(x)], 1)
        n, channels, height, width = both.shape
        mixed = both.reshape(n, 2, channels // 2, height, width).transpose(1, 2).reshape(both.shape)
        return self.classify(self.depthwise(mixed))


def shuffled(classes):
    return Shuffled(classes)


def branching(classes):
    return nn.Sequential(nn.Conv2d(3, classes, 1), Branch())


def odd(classes):
    return nn.Sequential(nn.Conv2d(3, classes, 1), Odd())


def two_layers(classes):
    return nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.ReLU(), nn.Conv2d(8, classes, 1))


def halving(classes):
    return nn.Conv2d(3, classes, 1, stride=2)


def write_checkpoint(path, network="tiny_export:decoder", *, size=(32, 48), spoil=None):
    """Write a checkpoint with settled statistics; ``spoil`` may change its weights first."""
    torch.manual_seed(0)
    module = build(network, len(CLASSES))
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.running_mean.uniform_(-0.5, 0.5)
            layer.running_var.uniform_(0.5, 1.5)
            nn.init.uniform_(layer.weight, 0.5, 1.5)
    weights = module.state_dict()
    if spoil:
        spoil(weights)
    described = f"paper: {size[0]}x{size[1]}, {len(CLASSES)} classes, void counted as a class"
    Checkpoint(network, CLASSES, Preprocess(*size), described, weights, {"data": "scenes"}).save(path)
    return path
