"""A split's pictures as a training sees them: the augmentation, then the effects, by (seed, epoch, index)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from segfast_edge.data.augmentation import Augmentation, generator
from segfast_edge.data.effects import KINDS, Pair, parse_effects

ReadPair = Callable[[int], Pair]  # native size, by index
_SECOND = len(KINDS) + 1  # sets the random numbers of a second picture apart from those of the effects
_OWN = len(KINDS) + 2


@dataclass(frozen=True, slots=True)
class Augmented:
    """``augmentation`` and ``effects`` (their words) for a split of ``count`` pictures.

    Every effect draws from a generator of its own, so that adding one leaves the others as they were.
    """

    augmentation: Augmentation
    seed: int
    count: int
    effects: tuple[str, ...] = ()

    def __call__(self, epoch: int, index: int, read: ReadPair) -> Pair:
        """Return the pair of this epoch at the network's size."""
        pair = self.augmentation.apply(*read(index), generator(self.seed, epoch, index))
        for number, effect in enumerate(parse_effects(self.effects)):
            place = list(KINDS).index(effect.name) + 1 if effect.name in KINDS else _OWN + number
            rng = np.random.default_rng((self.seed, epoch, index, place))
            if effect.chooses or rng.uniform() >= effect.chance:
                continue
            second = self._second(epoch, index, read, rng) if effect.mixes else None
            pair = effect.apply(pair, second, self.augmentation.padding, rng)
        return pair

    def _second(self, epoch: int, index: int, read: ReadPair, rng: np.random.Generator) -> Pair:
        """Return another picture, changed in its own way."""
        other = (index + int(rng.integers(1, max(2, self.count)))) % self.count
        return self.augmentation.apply(*read(other), np.random.default_rng((self.seed, epoch, index, _SECOND)))
