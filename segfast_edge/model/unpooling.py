"""Max-pooling that remembers where each maximum was, and unpooling that puts values back there.

Two forms that compute the same, both for 2x2 windows, stride 2 and even sizes, where the first of equal values (by
rows) wins: torch's own operators, which train fast, and a form out of slices, comparisons and nearest resizing for
runtimes that have no unpooling. What a pool hands its unpool is opaque to the network between them, so one pair can
take the other's place.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segfast_edge.model.blocks import static_size
from segfast_edge.model.plain import is_plain, substitute


class IndexPool(nn.Module):
    """2x2 max-pooling by torch's operator."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Take N x C x 2H x 2W; give the maxima, N x C x H x W, and their flat indices (int64) in each map of x."""
        maxima, indices = F.max_pool2d(x, 2, return_indices=True)
        return maxima, indices


class IndexUnpool(nn.Module):
    """Unpooling by torch's operator, called directly since ``F.max_unpool2d`` cannot be traced (torch 2.13)."""

    def forward(self, x: Tensor, indices: Tensor) -> Tensor:
        """Take N x C x H x W and what ``IndexPool`` gave; give N x C x 2H x 2W, zero but where the maxima were."""
        height, width = static_size(x)
        full: Tensor = torch.ops.aten.max_unpool2d.default(x, indices, [2 * height, 2 * width])
        return full


class PlacePool(nn.Module):
    """2x2 max-pooling out of ordinary operators."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Take N x C x 2H x 2W; give the maxima and their place in each window (0 to 3 by rows, as floats)."""
        maxima = F.max_pool2d(x, 2)
        place = torch.full_like(maxima, 3.0)
        for number in (2, 1, 0):  # the first of equal values is written last
            row, column = divmod(number, 2)
            place = torch.where(x[:, :, row::2, column::2] == maxima, float(number), place)
        return maxima, place


class PlaceUnpool(nn.Module):
    """Unpooling out of ordinary operators: twice the size by repetition, and all but one of four set to zero."""

    places: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("places", torch.arange(4.0).reshape(1, 1, 2, 2), persistent=False)

    def forward(self, x: Tensor, place: Tensor) -> Tensor:
        """Take N x C x H x W and what ``PlacePool`` gave; give N x C x 2H x 2W, zero but where the maxima were."""
        height, width = static_size(x)
        here = F.interpolate(place, scale_factor=2.0, mode="nearest") == self.places.repeat(1, 1, height, width)
        return torch.where(here, F.interpolate(x, scale_factor=2.0, mode="nearest"), 0.0)


def without_indices(network: nn.Module) -> nn.Module:
    """Replace every index pool and unpool in ``network`` by its exact form in ordinary operators, in place."""
    substitute(network, _in_places)
    return network


def _in_places(module: nn.Module) -> nn.Module | None:
    if is_plain(module, IndexPool):
        return PlacePool()
    return PlaceUnpool() if is_plain(module, IndexUnpool) else None
