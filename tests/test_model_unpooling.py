"""SegNet's pooling remembers the places that its unpooling needs, in both of its forms."""

import pytest
import torch

from segfast_edge.model import build
from segfast_edge.model.unpooling import IndexPool, IndexUnpool, PlacePool, PlaceUnpool, without_indices

PAIRS = pytest.mark.parametrize("pair", [(IndexPool, IndexUnpool), (PlacePool, PlaceUnpool)], ids=["index", "place"])


@PAIRS
def test_unpooling_restores_the_size_and_puts_each_maximum_back(pair):
    pool, unpool = (part() for part in pair)
    x = torch.randn(2, 3, 6, 10)
    maxima, places = pool(x)
    back = unpool(maxima, places)
    assert maxima.shape == (2, 3, 3, 5)
    assert back.shape == x.shape
    kept = back != 0
    assert torch.equal(back[kept], x[kept])
    assert torch.equal(torch.nn.functional.max_pool2d(kept.float(), 2), torch.ones_like(maxima))
    assert kept.sum() == maxima.numel()


@PAIRS
def test_of_equal_values_the_first_by_rows_wins(pair):
    pool, unpool = (part() for part in pair)
    x = torch.tensor([[1.0, 1.0, 0.0, 2.0], [1.0, 1.0, 2.0, 2.0]]).reshape(1, 1, 2, 4)
    _, places = pool(x)
    back = unpool(torch.tensor([5.0, -7.0]).reshape(1, 1, 1, 2), places)
    assert back.flatten().tolist() == [5, 0, 0, -7, 0, 0, 0, 0]


def test_segnet_computes_the_same_without_indices():
    network, x = build("segnet", 3).eval(), torch.randn(1, 3, 33, 20)
    with torch.no_grad():
        expected = network(x)
        assert expected.shape == (1, 3, 33, 20)
        assert torch.equal(without_indices(network)(x), expected)
    assert not any(isinstance(part, IndexPool | IndexUnpool) for part in network.modules())


@torch.no_grad()
@pytest.mark.parametrize("pair", [(IndexPool, IndexUnpool), (PlacePool, PlaceUnpool)], ids=["index", "place"])
def test_a_pair_can_be_traced(pair):
    class Pair(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.pool, self.unpool = (part() for part in pair)

        def forward(self, x):
            return self.unpool(*self.pool(x))

    x, other = torch.randn(1, 2, 4, 6), torch.randn(1, 2, 4, 6)
    assert torch.equal(torch.jit.trace(Pair(), x)(other), Pair()(other))
