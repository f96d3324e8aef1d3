"""Folding batch normalisation changes no output, and is done exactly where it may be."""

import pytest
import torch
from torch import nn

from segfast_edge.export.common.fold import fold_batchnorm


def settled(network: nn.Module, channels: int = 3) -> nn.Module:
    """Give every batch normalisation statistics of its own that are not the initial ones."""
    torch.manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            if module.running_mean is not None:
                module.running_mean.uniform_(-1, 1)
                module.running_var.uniform_(0.5, 2)
    return network.eval()


def norms(network: nn.Module) -> int:
    return sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(6, 12, 3, groups=3),
        nn.Conv2d(6, 12, 3, bias=False),
        nn.ConvTranspose2d(6, 12, 3, stride=2, groups=3),
        nn.ConvTranspose2d(6, 6, 2, stride=2, groups=6, bias=False),
        nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1),
    ],
)
def test_a_norm_after_any_convolution_is_folded_exactly(layer):
    channels = layer.out_channels
    network = settled(nn.Sequential(layer, nn.BatchNorm2d(channels), nn.ReLU()))
    frame = torch.randn(1, 6, 9, 11)
    folded = fold_batchnorm(network, frame)
    assert norms(folded) == 0
    assert norms(network) == 1
    torch.testing.assert_close(folded(frame), network(frame), atol=1e-5, rtol=1e-5)


class Branching(nn.Module):
    """A convolution that two layers read, one used twice, and a norm with no convolution before it."""

    def __init__(self):
        super().__init__()
        self.first, self.first_norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.twice, self.twice_norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.changed, self.changed_norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)
        self.alone = nn.BatchNorm2d(3)

    def forward(self, x):
        y = self.first(x)
        y = self.first_norm(y) + y
        for _ in range(2):
            y = self.twice_norm(self.twice(y))
        if y.mean() > -1000:  # Python that no tracer follows
            y = self.changed_norm(self.changed(y).relu_())
        return self.alone(y.sigmoid())


def test_a_norm_that_cannot_be_folded_stays():
    network = settled(Branching())
    frame = torch.randn(1, 3, 5, 5)
    folded = fold_batchnorm(network, frame)
    assert norms(folded) == 4
    torch.testing.assert_close(folded(frame), network(frame))


def test_a_norm_without_running_statistics_stays():
    network = settled(nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3, track_running_stats=False)))
    folded = fold_batchnorm(network, torch.randn(1, 3, 5, 5))
    assert norms(folded) == 1
