"""Which window of a picture is taken: one with rare classes, and not one that a single class fills."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from segfast_edge.contract.shared.images import Labels

_LIMIT_TRIES = 10
_SIDE = 64  # a window is judged by about so many rows and columns


@dataclass(frozen=True, slots=True)
class WindowChoice:
    """Draw ``tries`` windows. Of those in which no class makes up more than ``limit`` take the rarest.

    ``weights`` holds 256 numbers, how much a pixel of each label counts; those of 0 (void) are left out. The window
    whose most frequent class has the smallest share is taken if all exceed the limit.
    """

    tries: int
    limit: float
    weights: tuple[float, ...]

    def place(self, labels: Labels, zoom: float, rng: np.random.Generator) -> np.ndarray:
        """Return where the window lies, 0 to 1 along each axis of the room that it has."""
        places = rng.uniform(size=(max(self.tries, _LIMIT_TRIES if self.limit < 1 else 1), 2))
        judged = (
            list(self._judged(labels, zoom, places)) if zoom > 1 else [(True, 0.0)]
        )  # else every window shows everything
        chosen: np.ndarray = places[judged.index(max(judged))]
        return chosen

    def _judged(self, labels: Labels, zoom: float, places: np.ndarray) -> Iterator[tuple[bool, float]]:
        """Give for each place whether it keeps to the limit, and how good it is."""
        weights = np.array(self.weights)
        tall, broad = (max(1, int(side / zoom)) for side in labels.shape)
        for down, right in places:
            top, left = int((labels.shape[0] - tall) * down), int((labels.shape[1] - broad) * right)
            step = max(1, tall // _SIDE), max(1, broad // _SIDE)
            window = labels[top : top + tall : step[0], left : left + broad : step[1]]
            counts = np.bincount(window.ravel(), minlength=256) * (weights > 0)
            largest = float(counts.max() / max(1, counts.sum()))
            if largest > self.limit:
                yield False, -largest
            else:
                yield True, float(counts @ weights) / window.size if self.tries > 1 else 0.0


def rarity(shares: np.ndarray) -> tuple[float, ...]:
    """Return ``WindowChoice.weights`` for each class's share of the pixels: one over it; 0 for what does not count."""
    weights = np.zeros(256)
    weights[: len(shares)] = 1 / np.maximum(shares, 1e-6)
    return tuple(weights.tolist())
