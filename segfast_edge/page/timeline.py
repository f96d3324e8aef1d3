"""The plot of a run: every sample at its time, and on the same time axis the machine's state."""

from collections.abc import Iterator, Sequence
from itertools import accumulate

from matplotlib.figure import Figure

from segfast_edge.contract.report import Report
from segfast_edge.page.plots import ALARM, AS_PIXELS, COLOURS, WIDTH, style, svg

# Of a moment in the conditions' timeline: its place, what to call it, and a colour
_SAMPLED = (
    (1, "clock, MHz", COLOURS[2]),
    (5, "GPU clock, MHz", COLOURS[5]),
    (2, "temperature, °C", ALARM),
    (3, "power, W", COLOURS[3]),
    (4, "others' load, %", COLOURS[7]),
)


def timeline(report: Report) -> str:
    """Draw each inference where it lay in the run, and below it, on the same clock, what was sampled along it."""
    moments = report.conditions.get("timeline", [])
    known = [each for each in _SAMPLED if any(_at(moment, each[0]) is not None for moment in moments)]
    with style():
        figure = Figure(figsize=(WIDTH, 2.2 + 0.9 * len(known)), layout="constrained")
        rows = figure.subplots(1 + len(known), 1, squeeze=False, height_ratios=[2.2] + [1] * len(known), sharex=True)
        for label, (times, samples), colour in _series(report):
            rows[0, 0].plot(
                times, samples, ".", markersize=3.5, label=label, color=colour, rasterized=len(samples) > AS_PIXELS
            )
        rows[0, 0].set(ylabel="latency, ms", ylim=(0, None))
        if len(rows[0, 0].lines) > 1:
            figure.legend(loc="outside upper center", ncols=2, markerscale=2)
        for axes, (place, name, colour) in zip(rows[1:, 0], known, strict=True):
            scale = 100 if place == 4 else 1
            points = [(moment[0], scale * moment[place]) for moment in moments if _at(moment, place) is not None]
            axes.plot(*zip(*points, strict=True), color=colour)
            axes.set_ylabel(name, rotation=0, ha="right", va="center")
            if place == 4:
                axes.set_ylim(0, 105)
        rows[-1, 0].set_xlabel("seconds since the timed runs began")
        return svg(figure)


def _at(moment: Sequence[float | None], place: int) -> float | None:
    return moment[place] if place < len(moment) else None


def _series(report: Report) -> Iterator[tuple[str, tuple[Sequence[float], Sequence[float]], str]]:
    """Give each series of samples with the times at which they were there; older reports have no times."""
    ends = report.conditions.get("ends_s", {})
    samples = report.latency.samples_ms
    times = ends.get("latency", ())
    if len(times) != len(samples):
        times = [end / 1000 for end in accumulate(samples)]
    yield "the network alone", (times, samples), COLOURS[0]
    whole = report.stages.get("end_to_end")
    if whole is not None and len(ends.get("end_to_end", ())) == len(whole.samples_ms):
        yield "whole frames, file to mask", (ends["end_to_end"], whole.samples_ms), COLOURS[1]
