"""Figures drawn from latency samples: percentiles, spread, and how sure the median is."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Interval = tuple[float, float]

_RESAMPLES = 1000
_SEED = 0  # the same report gives the same interval every time it is read


def percentile(samples: Sequence[float], rank: float) -> float:
    """Return the ``rank`` (0 to 100) percentile with linear interpolation, as numpy's default does; NaN of nothing."""
    if not samples:
        return math.nan
    ordered = sorted(samples)
    place = (len(ordered) - 1) * rank / 100
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def variation(samples: Sequence[float]) -> float:
    """Return the coefficient of variation: standard deviation over mean, tails included."""
    if len(samples) < 2:
        return math.nan
    return float(np.std(samples, ddof=1) / np.mean(samples))


def _medians(samples: Sequence[float], seed: int) -> npt.NDArray[np.float64]:
    """Return the medians of resampled series.

    Whole blocks of neighbours are drawn (circular block bootstrap, block length by the cube root rule), because
    latencies follow one another: single draws would call the median surer than it is.
    """
    values = np.asarray(samples, np.float64)
    block = math.ceil(len(values) ** (1 / 3))
    draw = np.random.default_rng(seed)
    medians = np.empty(_RESAMPLES)
    for index in range(_RESAMPLES):  # one series at a time: a few kilobytes, where all at once would take hundreds
        starts = draw.integers(0, len(values), math.ceil(len(values) / block))
        places = (starts[:, None] + np.arange(block)).ravel()[: len(values)] % len(values)
        medians[index] = np.median(values[places])
    return medians


def _middle(values: npt.NDArray[np.float64], confidence: float) -> Interval:
    low, high = np.percentile(values, [50 * (1 - confidence), 50 * (1 + confidence)])
    return float(low), float(high)


def median_interval(samples: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return the bootstrap confidence interval of the median; NaN of nothing."""
    if not samples:
        return math.nan, math.nan
    return _middle(_medians(samples, _SEED), confidence)


def median_ratio_interval(samples: Sequence[float], base: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return the bootstrap confidence interval of median(samples) / median(base)."""
    return _middle(_medians(samples, _SEED) / _medians(base, _SEED + 1), confidence)
