"""Drawing one of several."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


def pick(rng: np.random.Generator, options: Sequence[T], chances: Sequence[float] | None = None) -> T:
    """Return one of ``options``, evenly or by ``chances`` that add up to 1."""
    return options[int(rng.choice(len(options), p=chances))]
