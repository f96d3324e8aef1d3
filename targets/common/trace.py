"""The typical time of each layer, from traces of single runs."""

import math
import statistics
from collections.abc import Callable, Sequence
from dataclasses import replace

from segfast_edge.contract.layer_times import Layer
from segfast_edge.errors import TargetError

WARM_UP_RUNS = 5


def typical_layers(run: Callable[[], Sequence[Layer]], runs: int) -> list[Layer]:
    """Trace ``runs`` inferences after a few warm ones; every trace has to hold the same layers in the same order.

    A layer's time is its interquartile mean: steady as a median, and finer than the traces' whole microseconds.
    """
    for _ in range(WARM_UP_RUNS):
        run()
    traces = [run() for _ in range(runs)]
    names = [[(layer.name, layer.kernel) for layer in trace] for trace in traces]
    if any(each != names[0] for each in names):
        raise TargetError("the runtime executed other layers from one run to the next, so they have no typical time")
    return [
        replace(layer, ms=_interquartile_mean([trace[place].ms for trace in traces]))
        for place, layer in enumerate(traces[0])
    ]


def _interquartile_mean(times: Sequence[float]) -> float:
    ordered = sorted(times)
    cut = len(ordered) // 4
    return statistics.fmean(ordered[cut : len(ordered) - cut])


def convolution_macs(weights: Sequence[int], spatial: Sequence[int]) -> int:
    """Return weights times positions: output positions of a convolution, input positions of a transposed one."""
    return math.prod(weights) * math.prod(spatial)
