"""The SegFast paper's tables 4 and 5, measured again: time per sample, parameters and memory of four networks.

One process per network, all alive at once, asked in turn and in a new random order each round, so that a machine
that gets slower for a while gets slower for all of them.
"""

import contextlib
import multiprocessing
import os
import random
import statistics
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from typing import Any

from segfast_edge.contract.classes import MAX_CLASSES
from segfast_edge.contract.shared.endings import how_ended
from segfast_edge.contract.validity import MAX_FOREIGN_SHARE
from segfast_edge.errors import SegfastError, TargetError
from segfast_edge.progress import Progress

NETWORKS = ("fcn8s", "segnet", "segfast_basic", "segfast")  # the paper's order
# Pal et al., ICVGIP 2018: table 5, and the ratios to SegFast that its text gives
PAPER_PARAMETERS = {"fcn8s": 134_507_010, "segnet": 29_455_702, "segfast_basic": 2_965_976, "segfast": 603_288}
PAPER_SLOWER = {"fcn8s": 8.7, "segnet": 5.1, "segfast": 1.0}
_PATIENCE_S = 300.0


@dataclass(frozen=True, slots=True)
class PaperSetting:
    """What is measured: ``batch`` frames of ``size`` (height, width) at once, on ``threads`` threads, in float32."""

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


def _busy_s() -> float | None:
    """Return the seconds of work that the cores of this process did so far for anybody; None where nobody counts."""
    usable, ticks = {f"cpu{number}" for number in os.sched_getaffinity(0)}, 0
    with contextlib.suppress(OSError):
        for line in Path("/proc/stat").read_text(encoding="ascii").splitlines():
            name, *counts = line.split()
            if name in usable:
                user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, counts[:8])
                ticks += user + nice + system + irq + softirq + steal
    return ticks / os.sysconf("SC_CLK_TCK") if ticks else None


def measure(setting: PaperSetting, progress: Progress) -> PaperFigures:
    """Measure all four networks; ``progress`` is told the measurements done and the total.

    Raises:
        TargetError: a network's process ended, for lack of memory as a rule.
    """
    order = random.Random(setting.seed)
    forward: dict[str, list[float]] = {name: [] for name in NETWORKS}
    backward: dict[str, list[float]] = {name: [] for name in NETWORKS}
    with _workers(setting) as workers:
        facts = {}
        total, done = len(NETWORKS) * (1 + 2 * setting.rounds), 0
        for name in NETWORKS:  # warm up, and take the memory of inference before anything was trained
            facts[name] = _ask(workers, name, "prepare")
            progress(done := done + 1, total)
        start = _Clocks.now(workers)
        for kind, times in (("forward", forward), ("backward", backward)):
            for _ in range(setting.rounds):
                for name in order.sample(NETWORKS, len(NETWORKS)):
                    times[name].append(_ask(workers, name, kind) / setting.batch)
                    progress(done := done + 1, total)
        share = _Clocks.now(workers).foreign_share(start)
        peaks = {name: _ask(workers, name, "peak") for name in NETWORKS}
    rows = [
        NetworkFigures(name, facts[name][0], tuple(forward[name]), tuple(backward[name]), facts[name][1], peaks[name])
        for name in NETWORKS
    ]
    return PaperFigures(tuple(rows), share)


@dataclass(frozen=True, slots=True)
class _Clocks:
    """Seconds since some start: by the clock, of work for anybody, and of work for this benchmark."""

    wall_s: float
    busy_s: float | None
    own_s: float

    @classmethod
    def now(cls, workers: "Mapping[str, _Worker]") -> "_Clocks":
        own_s = time.process_time() + sum(_ask(workers, name, "work") for name in NETWORKS)
        return cls(time.monotonic(), _busy_s(), own_s)

    def foreign_share(self, start: "_Clocks") -> float | None:
        if self.busy_s is None or start.busy_s is None:
            return None
        others_s = self.busy_s - start.busy_s - (self.own_s - start.own_s)
        return max(0.0, others_s / (self.wall_s - start.wall_s) / len(os.sched_getaffinity(0)))


@dataclass(frozen=True, slots=True)
class _Worker:
    process: SpawnProcess
    connection: Connection


@contextmanager
def _workers(setting: PaperSetting) -> Iterator[Mapping[str, _Worker]]:
    context = multiprocessing.get_context("spawn")
    workers = {}
    for name in NETWORKS:
        ours, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(name, setting, theirs), daemon=True)
        process.start()
        theirs.close()
        workers[name] = _Worker(process, ours)
    try:
        yield workers
    finally:
        for worker in workers.values():
            worker.process.terminate()
            worker.process.join()


def _ask(workers: Mapping[str, _Worker], name: str, request: str) -> Any:
    connection, process = workers[name].connection, workers[name].process
    try:
        connection.send(request)
        if not connection.poll(_PATIENCE_S):
            raise TargetError(f"{name} did not answer within {_PATIENCE_S:.0f} s")
        return connection.recv()
    except (EOFError, BrokenPipeError, ConnectionResetError) as error:
        process.join(_PATIENCE_S)
        how = how_ended(process.exitcode or 0)
        raise TargetError(f"the process of {name} {how}. If it was out of memory, try a smaller --size") from error


def _serve(name: str, setting: PaperSetting, requests: Connection) -> None:
    """Answer one network's requests until the parent ends this process."""
    import torch

    from segfast_edge.model import build

    torch.set_num_threads(setting.threads or len(os.sched_getaffinity(0)))
    torch.manual_seed(setting.seed)
    baseline = resident_peak()
    network = build(name, setting.classes)
    frames = torch.randn(setting.batch, 3, *setting.size)
    labels = torch.randint(setting.classes, (setting.batch, *setting.size))

    def forward() -> float:
        network.eval()
        start = time.perf_counter_ns()
        with torch.inference_mode():
            network(frames)
        return (time.perf_counter_ns() - start) / 1e6

    def backward() -> float:
        network.train()
        network.zero_grad(set_to_none=True)
        loss = torch.nn.functional.cross_entropy(network(frames), labels)
        start = time.perf_counter_ns()
        loss.backward()
        return (time.perf_counter_ns() - start) / 1e6

    while True:
        request = requests.recv()
        if request == "prepare":
            forward(), forward()
            requests.send((sum(p.numel() for p in network.parameters()), resident_peak() - baseline))
        elif request == "work":
            requests.send(time.process_time())
        elif request == "peak":
            requests.send(resident_peak() - baseline)
        else:
            requests.send(forward() if request == "forward" else backward())
