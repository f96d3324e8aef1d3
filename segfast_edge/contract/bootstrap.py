"""Figures drawn from latency samples: percentiles, spread, and how sure the median is."""

import math
import statistics
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Interval = tuple[float, float]

_RESAMPLES, _FEWEST_RESAMPLES = 1000, 200
_MOST_VALUES = 20_000_000  # drawn in all: long runs get fewer resamples, and need fewer
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


def _resampled(values: npt.NDArray[np.float64], draw: "np.random.Generator") -> npt.NDArray[np.float64]:
    """Return as many values, drawn in blocks of neighbours (circular block bootstrap, block by the cube root rule).

    Latencies follow one another: drawn singly they would make the median look surer than it is.
    """
    block = math.ceil(len(values) ** (1 / 3))
    starts = draw.integers(0, len(values), math.ceil(len(values) / block))
    places = (starts[:, None] + np.arange(block)).ravel()[: len(values)] % len(values)
    return np.asarray(values[places])


def _medians(runs: Sequence[Sequence[float]], seed: int) -> npt.NDArray[np.float64]:
    """Return means over runs of the medians of resampled runs; with several runs, the runs are drawn too."""
    series = [np.asarray(run, np.float64) for run in runs]
    draw = np.random.default_rng(seed)
    count = max(_FEWEST_RESAMPLES, min(_RESAMPLES, _MOST_VALUES // sum(map(len, series))))
    medians = np.empty(count)
    for index in range(count):
        chosen = draw.integers(0, len(series), len(series))
        medians[index] = np.mean([np.median(_resampled(series[each], draw)) for each in chosen])
    return medians


def _middle(values: npt.NDArray[np.float64], confidence: float) -> Interval:
    low, high = np.percentile(values, [50 * (1 - confidence), 50 * (1 + confidence)])
    return float(low), float(high)


def median_interval(samples: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return the bootstrap confidence interval of the median of one run; NaN of nothing."""
    if not samples:
        return math.nan, math.nan
    return _middle(_medians([samples], _SEED), confidence)


def mean_median(runs: Sequence[Sequence[float]]) -> float:
    """Return the mean of the runs' medians."""
    return statistics.fmean(percentile(run, 50) for run in runs)


def mean_median_interval(runs: Sequence[Sequence[float]], confidence: float = 0.95) -> Interval:
    """Return the bootstrap confidence interval of ``mean_median``: over the runs, and within each."""
    return _middle(_medians(runs, _SEED), confidence)


def median_ratio_interval(
    runs: Sequence[Sequence[float]], base: Sequence[Sequence[float]], confidence: float = 0.95
) -> Interval:
    """Return the bootstrap confidence interval of ``mean_median(runs) / mean_median(base)``.

    With one run on a side it knows nothing of how that side differs from one process to the next.
    """
    ours, theirs = _medians(runs, _SEED), _medians(base, _SEED + 1)
    count = min(len(ours), len(theirs))
    return _middle(ours[:count] / theirs[:count], confidence)
