"""The SegFast paper's tables 4 and 5, measured again: time per sample, parameters and memory of four networks.

One process per network, all alive at once, asked in turn and in a new random order each round, so that a machine
that gets slower for a while gets slower for all of them.
"""

import contextlib
import math
import multiprocessing
import os
import random
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segfast_edge.contract.classes import MAX_CLASSES
from segfast_edge.contract.validity import MAX_FOREIGN_SHARE
from segfast_edge.errors import SegfastError, TargetError
from segfast_edge.progress import Progress

NETWORKS = ("fcn8s", "segnet", "segfast_basic", "segfast")  # the paper's order
# Pal et al., ICVGIP 2018: table 5, and the ratios to SegFast that its text gives
PAPER_PARAMETERS = {"fcn8s": 134_507_010, "segnet": 29_455_702, "segfast_basic": 2_965_976, "segfast": 603_288}
PAPER_SLOWER = {"fcn8s": 8.7, "segnet": 5.1, "segfast": 1.0}


@dataclass(frozen=True, slots=True)
class PaperSetting:
    """Settings: ``batch`` frames of ``size`` (height, width) at once, on ``threads`` threads, in float32."""

    classes: int = 22
    size: tuple[int, int] = (224, 224)
    batch: int = 1
    threads: int = 0
    rounds: int = 10
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("batch", "rounds"):
            if getattr(self, name) < 1:
                raise SegfastError(f"--{name} {getattr(self, name)} is too small; at least 1")
        if not 0 <= self.threads <= 1024:
            raise SegfastError(f"--threads {self.threads} is outside 1 to 1024, or 0 for all")
        if not 2 <= self.classes <= MAX_CLASSES:
            raise SegfastError(f"--classes {self.classes} is outside 2 to {MAX_CLASSES}")


@dataclass(frozen=True, slots=True)
class NetworkFigures:
    """One network: medians per sample in milliseconds over all rounds, and what its process grew to."""

    network: str
    parameters: int
    forward_ms: tuple[float, ...]
    backward_ms: tuple[float, ...]
    forward_bytes: int
    training_bytes: int

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, raw samples included."""
        return {
            "network": self.network,
            "parameters": self.parameters,
            "paper_parameters": PAPER_PARAMETERS[self.network],
            "forward_ms": statistics.median(self.forward_ms),
            "backward_ms": statistics.median(self.backward_ms),
            "forward_bytes": self.forward_bytes,
            "training_bytes": self.training_bytes,
            "forward_samples_ms": list(self.forward_ms),
            "backward_samples_ms": list(self.backward_ms),
        }


def resident_peak() -> int:
    """Return this process's high-water mark of resident memory (VmHWM) in bytes."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise TargetError("this system has no VmHWM in /proc/self/status; memory is measured on Linux")


def ratios(rows: list[NetworkFigures]) -> dict[str, float]:
    """Return each network's median forward time over SegFast's."""
    median = {row.network: statistics.median(row.forward_ms) for row in rows}
    return {name: value / median["segfast"] for name, value in median.items()}


@dataclass(frozen=True, slots=True)
class PaperFigures:
    """The networks' rows, and the share of the cores that other processes took meanwhile: 0 to 1, or None."""

    rows: tuple[NetworkFigures, ...]
    foreign_share: float | None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why these figures are invalid, or nothing."""
        if self.foreign_share is None or self.foreign_share <= MAX_FOREIGN_SHARE:
            return ()
        return (f"other processes took {self.foreign_share:.0%} of the cores; at most {MAX_FOREIGN_SHARE:.0%}",)


def _busy_s() -> float:
    """Return the seconds of work that the cores of this process did so far for anybody; nan if nobody counts."""
    usable, ticks = {f"cpu{number}" for number in os.sched_getaffinity(0)}, 0
    with contextlib.suppress(OSError):
        for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
            name, *counts = line.split()
            if name in usable:
                user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, counts[:8])
                ticks += user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK") if ticks else math.nan


def measure(setting: PaperSetting, progress: Progress) -> PaperFigures:
    """Measure all four networks; ``progress`` receives the measurements done and the total.

    Raises:
        TargetError: a network's process ended, for lack of memory as a rule.
    """
    order = random.Random(setting.seed)
    forward: dict[str, list[float]] = {name: [] for name in NETWORKS}
    backward: dict[str, list[float]] = {name: [] for name in NETWORKS}
    foreign_s = offered_s = 0.0
    total, done = len(NETWORKS) * (1 + 2 * setting.rounds), 0
    with _workers(setting) as ask:
        facts = {}
        for name in NETWORKS:  # warm up, and take the memory of inference before anything was trained
            facts[name] = ask(name, _warm_up)
            progress(done := done + 1, total)
        for step, times in ((_forward, forward), (_backward, backward)):
            for _ in range(setting.rounds):
                for name in order.sample(NETWORKS, len(NETWORKS)):
                    ms, by_others_s, wall_s = ask(name, step)
                    times[name].append(ms / setting.batch)
                    foreign_s, offered_s = foreign_s + by_others_s, offered_s + wall_s * len(os.sched_getaffinity(0))
                    progress(done := done + 1, total)
        peaks = {name: ask(name, _peak) for name in NETWORKS}
    rows = tuple(
        NetworkFigures(name, facts[name][0], tuple(forward[name]), tuple(backward[name]), facts[name][1], peaks[name])
        for name in NETWORKS
    )
    share = foreign_s / offered_s
    return PaperFigures(rows, None if math.isnan(share) else max(0.0, share))


@contextmanager
def _workers(setting: PaperSetting) -> Iterator[Callable[[str, Callable[[], Any]], Any]]:
    """Start a process per network; give what calls a function in the one of a network."""
    context = multiprocessing.get_context("spawn")
    with ExitStack() as stack:
        pools = {
            name: stack.enter_context(ProcessPoolExecutor(1, context, _Network.open, (name, setting)))
            for name in NETWORKS
        }

        def ask(name: str, step: Callable[[], Any]) -> Any:
            try:
                return pools[name].submit(step).result()
            except BrokenProcessPool as error:
                raise TargetError(
                    f"the process of {name} ended unexpectedly. If it was out of memory, try a smaller --size"
                ) from error

        yield ask


class _Network:
    """The network of this process, its frames and labels; the functions below run there."""

    one: "_Network"

    @classmethod
    def open(cls, name: str, setting: PaperSetting) -> None:
        cls.one = cls(name, setting)

    def __init__(self, name: str, setting: PaperSetting) -> None:
        import torch

        from segfast_edge.model import build

        torch.set_num_threads(setting.threads or len(os.sched_getaffinity(0)))
        torch.manual_seed(setting.seed)
        self.baseline = resident_peak()
        self.network = build(name, setting.classes)
        self.frames = torch.randn(setting.batch, 3, *setting.size)
        self.labels = torch.randint(setting.classes, (setting.batch, *setting.size))

    def timed(self, run: Callable[[], Any]) -> tuple[float, float, float]:
        """Return milliseconds, and the seconds of work that other processes did meanwhile in how many seconds."""
        busy_s, own_s, start_ns = _busy_s(), time.process_time(), time.perf_counter_ns()
        run()
        wall_s, own_s = (time.perf_counter_ns() - start_ns) / 1e9, time.process_time() - own_s
        return wall_s * 1e3, _busy_s() - busy_s - own_s, wall_s


def _forward() -> tuple[float, float, float]:
    import torch

    one = _Network.one
    one.network.eval()
    with torch.inference_mode():
        return one.timed(lambda: one.network(one.frames))


def _backward() -> tuple[float, float, float]:
    import torch

    one = _Network.one
    one.network.train()
    one.network.zero_grad(set_to_none=True)
    loss = torch.nn.functional.cross_entropy(one.network(one.frames), one.labels)
    return one.timed(loss.backward)


def _warm_up() -> tuple[int, int]:
    _forward(), _forward()
    return sum(p.numel() for p in _Network.one.network.parameters()), _peak()


def _peak() -> int:
    return resident_peak() - _Network.one.baseline
