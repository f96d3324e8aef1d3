"""Figures drawn from latency samples: percentiles, spread, and how sure a median and a ratio of medians are."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Interval = tuple[float, float]

_RESAMPLES, _FEWEST_RESAMPLES = 1000, 200
_MOST_VALUES = 20_000_000  # drawn in all: long runs get fewer resamples, and need fewer
_VALUES_AT_ONCE = 500_000  # held in memory
_SEED = 0  # the same report gives the same interval every time it is read
_ANGLES = 4_001  # steps of the integral behind Student's t: four digits up to 1000 degrees of freedom


def percentile(samples: Sequence[float], rank: float) -> float:
    """Return the ``rank`` (0 to 100) percentile with linear interpolation; NaN of nothing."""
    return float(np.percentile(samples, rank)) if samples else math.nan


def variation(samples: Sequence[float]) -> float:
    """Return the coefficient of variation: standard deviation over mean, tails included."""
    if len(samples) < 2:
        return math.nan
    return float(np.std(samples, ddof=1) / np.mean(samples))


def _resampled(samples: Sequence[float], rank: float, most: int = _RESAMPLES) -> npt.NDArray[np.float64]:
    """Return a percentile of a run resampled many times (circular block bootstrap, block by the cube root rule).

    Latencies follow one another: drawn singly instead of in blocks of neighbours they would make the percentile look
    surer than it is.
    """
    values, draw = np.asarray(samples, np.float64), np.random.default_rng(_SEED)
    count = max(_FEWEST_RESAMPLES, min(most, _MOST_VALUES // len(values)))
    block = np.arange(math.ceil(len(values) ** (1 / 3)))
    at_once = max(1, _VALUES_AT_ONCE // len(values))
    found = []
    for done in range(0, count, at_once):
        rows = min(at_once, count - done)
        starts = draw.integers(0, len(values), (rows, math.ceil(len(values) / len(block)), 1))
        places = (starts + block).reshape(rows, -1)[:, : len(values)] % len(values)
        found.append(np.percentile(values[places], rank, axis=1))
    return np.concatenate(found)


def median_interval(samples: Sequence[float], confidence: float = 0.95) -> Interval:
    """Return the bootstrap confidence interval of the median of one run; NaN of nothing."""
    if not samples:
        return math.nan, math.nan
    low, high = np.percentile(_resampled(samples, 50), [50 * (1 - confidence), 50 * (1 + confidence)])
    return float(low), float(high)


@functools.lru_cache(maxsize=256)  # a base is compared with several others
def _variance_within(samples: tuple[float, ...], rank: float) -> float:
    """Return the bootstrap variance of the logarithm of a run's percentile."""
    return float(np.var(np.log(_resampled(samples, rank, _FEWEST_RESAMPLES))))


def student_t(freedom: float, confidence: float = 0.95) -> float:
    """Return how many standard errors a two-sided interval of a mean reaches, by Student's t.

    With t = sqrt(freedom) tan(angle), the density of the angle is proportional to cos(angle) ** (freedom - 1).
    """
    angles = np.linspace(0, math.pi / 2, _ANGLES)
    density = np.cos(angles) ** (freedom - 1)
    below = np.concatenate(([0.0], np.cumsum(density[1:] + density[:-1])))
    return math.sqrt(freedom) * math.tan(float(np.interp(confidence, below / below[-1], angles)))


@dataclass(frozen=True, slots=True)
class _Side:
    """The mean over runs of the logarithms of a percentile, its variance, and the degrees of freedom of that."""

    mean: float
    variance: float
    freedom: int

    @classmethod
    def of(cls, runs: Sequence[Sequence[float]], rank: float) -> "_Side":
        """Few runs may be alike by chance: their variance counts as no less than what each run has within itself."""
        logs = [math.log(percentile(run, rank)) for run in runs]
        between = float(np.var(logs, ddof=1)) if len(runs) > 1 else math.inf
        within = float(np.mean([_variance_within(tuple(run), rank) for run in runs]))
        return cls(float(np.mean(logs)), max(between, within) / len(runs), len(runs) - 1)


def mean_median(runs: Sequence[Sequence[float]], rank: float = 50) -> float:
    """Return the geometric mean of the runs' medians, so that a ratio of two is the mean of the ratios.

    ``rank`` takes another percentile in place of the median.
    """
    return math.exp(sum(math.log(percentile(run, rank)) for run in runs) / len(runs))


def mean_median_interval(runs: Sequence[Sequence[float]], confidence: float = 0.95) -> Interval:
    """Return the confidence interval of ``mean_median`` by what differs between runs; of one run, within it."""
    if len(runs) < 2:
        return median_interval(runs[0], confidence)
    side = _Side.of(runs, 50)
    return _around(side.mean, side.variance, side.freedom, confidence)


def median_ratio_interval(
    runs: Sequence[Sequence[float]], base: Sequence[Sequence[float]], *, rank: float = 50, confidence: float = 0.95
) -> Interval | None:
    """Return the confidence interval of ``mean_median`` of runs over that of base; None with one run on a side.

    A run is a process. Its samples share the process's fate (where its memory lies, what else runs), so that the
    runs are what is counted: Welch's interval for the difference of two means, of the logarithms of medians.
    """
    if min(len(runs), len(base)) < 2:
        return None
    ours, theirs = _Side.of(runs, rank), _Side.of(base, rank)
    variance = ours.variance + theirs.variance
    parts = ours.variance**2 / ours.freedom + theirs.variance**2 / theirs.freedom
    freedom = variance**2 / parts if parts else ours.freedom + theirs.freedom
    return _around(ours.mean - theirs.mean, variance, freedom, confidence)


def _around(log_mean: float, variance: float, freedom: float, confidence: float) -> Interval:
    reach = student_t(freedom, confidence) * math.sqrt(variance)
    return math.exp(log_mean - reach), math.exp(log_mean + reach)
