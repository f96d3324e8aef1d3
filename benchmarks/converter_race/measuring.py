"""The processes of a race, asked in turn: nobody else of ours runs while one is timed."""

import contextlib
import json
import math
import os
import random
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from benchmarks.converter_race.cases import DEFAULT, Case, Way
from benchmarks.converter_race.defaults import ROOT
from segfast_edge.contract import validity
from segfast_edge.contract.manifest import FILE_NAME
from segfast_edge.contract.report import Latency
from segfast_edge.contract.shared.endings import how_ended

PRODUCTS = ("torch f32", "f32", "bf16", "int8")


@dataclass(frozen=True, slots=True)
class Entrant:
    """One process to be: its name in the results, and what its worker is told."""

    label: dict[str, Any]
    asked: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Pace:
    """How long to race: each entrant for ``seconds`` in each of ``rounds``, and ``samples`` at least in all."""

    seconds: float
    rounds: int
    samples: int = validity.MIN_SAMPLES
    seed: int = 0

    @property
    def order(self) -> dict[str, Any]:
        """What a worker is told each round."""
        return {"seconds": self.seconds, "runs": math.ceil(self.samples / self.rounds)}


@dataclass(slots=True)
class Runner:
    """A worker that has been started, and what it has given."""

    entrant: Entrant
    opened: dict[str, Any] = field(default_factory=dict)
    windows: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    _process: "subprocess.Popen[str] | None" = None

    def start(self) -> None:
        """Start the process and wait until it has run once."""
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.converter_race.worker"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self.opened = self._ask(self.entrant.asked)

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return "failed" not in self.opened

    def race(self, pace: Pace) -> None:
        """Time one round."""
        self._keep(self.windows.append, pace.order)

    def tell(self) -> None:
        """Hear what was executed."""
        self._keep(self.facts.update, {"facts": True})

    def _keep(self, keep: Callable[[dict[str, Any]], Any], order: dict[str, Any]) -> None:
        answer = self._ask(order)
        if "failed" in answer:
            self.opened["failed"] = answer["failed"]
        else:
            keep(answer)

    def _ask(self, line: dict[str, Any]) -> dict[str, Any]:
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(line) + "\n")
            process.stdin.flush()
        answer = process.stdout.readline()
        if not answer:
            return {"failed": f"its process {how_ended(process.wait())}"}
        said: dict[str, Any] = json.loads(answer)
        return said

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()

    def row(self) -> dict[str, Any]:
        """Return what is known of it, as JSON values."""
        row = {**self.entrant.label, **self.opened, "windows": self.windows, **self._executed()}
        if not self.windows:
            return row
        samples = [each for window in self.windows for each in window["samples_ms"]]
        shares = [window["foreign_cpu_share"] for window in self.windows]
        known = [share for share in shares if share is not None]
        conditions = {
            "foreign_cpu_share": statistics.fmean(known) if known else None,
            "alarms": sorted({alarm for window in self.windows for alarm in window["alarms"]}),
        }
        return {**row, **conditions, "invalid": list(validity.reasons(Latency(tuple(samples)), conditions))}

    def _executed(self) -> dict[str, Any]:
        names = ("executed_precision", "versions")
        return {name: self.facts[name] for name in names if name in self.facts}


def entrants(case: Case, ways: Sequence[Way], threads: Sequence[int], target: str) -> list[Entrant]:
    """Return a process per way and number of threads."""
    found = []
    for way in ways:
        for count in threads:
            label = {"tool": way.tool, "precision": way.precision, "side": way.side, "threads": count}
            asked: dict[str, Any] = {"case": str(case.folder), "threads": count, "target": target}
            if way.conversion is None:
                asked |= {"kind": "eager", "path": str(case.checkpoint)}
            elif way.tool == "torchscript" and way.side == DEFAULT:  # as a user loads it; our engine freezes
                asked |= {"kind": "traced", "path": str(way.conversion.folder(case) / "model.ts")}
            else:
                asked |= {"kind": "artifact", "path": str(way.conversion.folder(case)), "precision": way.hint}
            found.append(Entrant(label, asked))
    return found


def products(threads: Sequence[int]) -> list[Entrant]:
    """Return the matrix products whose rate is the machine's limit."""
    return [
        Entrant({"tool": "product", "precision": name, "threads": count}, {"kind": "product"} | each)
        for name in PRODUCTS
        for count in threads
        for each in [{"precision": name, "threads": count}]
    ]


def missing(case: Case, ways: Sequence[Way]) -> list[Way]:
    """Return the ways whose file is not there."""
    return [way for way in ways if way.conversion and not (way.conversion.folder(case) / FILE_NAME).is_file()]


def race(
    those: Sequence[Entrant], pace: Pace, progress: Callable[[], None], *, starting: int = 2
) -> list[dict[str, Any]]:
    """Start every entrant (``starting`` at once), then time one after another in rounds of random order."""
    draw = random.Random(pace.seed)
    with _started([Runner(each) for each in those], starting, progress) as runners:
        for _ in range(pace.rounds):
            for runner in draw.sample(runners, len(runners)):
                if runner.alive:
                    runner.race(pace)
                progress()
        for runner in runners:
            if runner.alive:
                runner.tell()
    return [runner.row() for runner in runners]


@contextlib.contextmanager
def _started(runners: list[Runner], at_once: int, progress: Callable[[], None]) -> Iterator[list[Runner]]:
    def start(runner: Runner) -> None:
        runner.start()
        progress()

    try:
        with ThreadPoolExecutor(at_once) as pool:
            list(pool.map(start, runners))
        yield runners
    finally:
        for runner in runners:
            runner.stop()
