"""How often compare calls an artifact different from itself, and how often it finds one that is 5 % slower.

    python benchmarks/comparing.py collect ARTIFACT POOL.json [--processes 60] [--delay 0.05]
    python benchmarks/comparing.py judge POOL.json... [--trials 1000] [--rank 50]

``collect`` measures processes of the artifact as it is and with a delay in each inference (a busy loop inside the
timer, for 5 % of the time that the inference took), in rounds of random order. ``judge`` draws both sides of a
comparison from the pool and counts the verdicts of compare, in three ways:

- shuffled: the processes are drawn from the whole pool. This shows what compare makes of noise without memory;
- in rounds: both sides are from the same stretch of time, as one call of ``profile A B --repeat N`` measures them;
- in turn: one side is from a stretch and the other from the next, as two calls of ``profile`` measure them. A machine
  that is slower for minutes shows here.

Processes count whether they are valid or not, so that the figures also hold for the noise of a busy machine.
"""

import argparse
import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from segfast_edge.contract.profile_options import ProfileOptions
from segfast_edge.contract.report import Report, read_reports, reports_json
from segfast_edge.contract.shared.arguments import ExactParser
from segfast_edge.contract.shared.files import check_writable, write_json
from segfast_edge.errors import SegfastError, TargetError
from segfast_edge.profiling.compare import Comparison, Question, Runs
from targets.common import measure, profiler
from targets.common.target import target

PLAN = ProfileOptions(threads=1)  # as profile measures by default
REPEATS = (3, 6)
AS_IT_IS, DELAYED = "as it is", "delayed"

Pair = tuple[Sequence[Report], Sequence[Report]]


def one(artifact: Path, delay: float) -> None:
    """Measure in this process, every inference longer by the share ``delay``, and print the report."""
    as_it_is = measure.elapsed_ns

    def delayed(step: Callable[[], Any]) -> int:
        def longer() -> None:
            start = time.perf_counter_ns()
            step()
            end = start + (time.perf_counter_ns() - start) * (1 + delay)
            while time.perf_counter_ns() < end:
                pass

        return as_it_is(longer)

    measure.elapsed_ns = delayed
    measure.staged = lambda *_, **__: {}  # whole frames are not compared here
    print(json.dumps(profiler.profile(target("x86"), artifact, PLAN).to_json()))


def collect(artifact: Path, pool: Path, processes: int, delay: float) -> None:
    """Measure ``processes`` of each kind and write all reports, in the order in which they were measured."""
    check_writable(pool)
    reports: list[Report] = []
    for number in range(processes):
        for name, share in random.sample([(AS_IT_IS, 0.0), (DELAYED, delay)], 2):
            words = [sys.executable, __file__, "one", str(artifact), str(share)]
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise TargetError(f"a measurement failed: {done.stderr.strip().splitlines()[-1:]}")
            report = Report.from_json(json.loads(done.stdout))
            reports.append(replace(report, artifact={**report.artifact, "name": name}))
        print(f"{number + 1} of {processes}", file=sys.stderr)
        write_json(pool, reports_json(reports))


def shuffled(first: Sequence[Report], second: Sequence[Report], repeat: int, trials: int) -> Iterator[Pair]:
    """Draw the two sides; from one series they are disjoint."""
    draw = random.Random(0)
    for _ in range(trials):
        if first is second:
            both = draw.sample(list(first), 2 * repeat)
            yield both[:repeat], both[repeat:]
        else:
            yield draw.sample(list(first), repeat), draw.sample(list(second), repeat)


def in_rounds(first: Sequence[Report], second: Sequence[Report], repeat: int) -> Iterator[Pair]:
    """Give both sides from every stretch of time; from one series, every other process is of the other side."""
    if first is second:
        for start in range(len(first) - 2 * repeat + 1):
            both = first[start : start + 2 * repeat]
            yield both[::2], both[1::2]
    else:
        for start in range(len(first) - repeat + 1):
            yield first[start : start + repeat], second[start : start + repeat]


def in_turn(first: Sequence[Report], second: Sequence[Report], repeat: int) -> Iterator[Pair]:
    """Give every stretch of ``repeat`` processes and the stretch that follows it."""
    for start in range(len(first) - 2 * repeat + 1):
        middle = start + repeat
        yield first[start:middle], second[middle : middle + repeat]


def rate(pairs: Iterator[Pair], verdicts: Sequence[str], question: Question) -> dict[str, float]:
    """Return how many pairs there were, and the share that got one of ``verdicts``."""
    found = [Comparison.of(Runs("a", "a", tuple(a)), Runs("b", "b", tuple(b)), question).verdict for a, b in pairs]
    return {"pairs": len(found), "share": sum(verdict in verdicts for verdict in found) / len(found)}


def judge(pools: Sequence[Path], trials: int, question: Question) -> dict[str, Any]:
    """Return the rates for each number of processes a side."""
    reports = [replace(report, reasons=()) for path in pools for report in read_reports(path)]
    plain, slower = ([r for r in reports if r.artifact["name"] == name] for name in (AS_IT_IS, DELAYED))
    rows = []
    for repeat in REPEATS:
        same, different = ("faster", "slower"), ("slower",)
        rows.append(
            {
                "repeat": repeat,
                "called different, shuffled": rate(shuffled(plain, plain, repeat, trials), same, question),
                "called different, in rounds": rate(in_rounds(plain, plain, repeat), same, question),
                "called different, in turn": rate(in_turn(plain, plain, repeat), same, question),
                "found slower, shuffled": rate(shuffled(plain, slower, repeat, trials), different, question),
                "found slower, in rounds": rate(in_rounds(plain, slower, repeat), different, question),
                "found slower, in turn": rate(in_turn(plain, slower, repeat), different, question),
            }
        )
    return {"processes": len(plain), "rates": rows}


def main() -> int:
    """Run one of the two steps."""
    parser = ExactParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    steps = parser.add_subparsers(dest="step", required=True)
    collecting, judging, single = (steps.add_parser(name) for name in ("collect", "judge", "one"))
    collecting.add_argument("artifact", type=Path)
    collecting.add_argument("pool", type=Path)
    collecting.add_argument("--processes", type=int, default=60)
    collecting.add_argument("--delay", type=float, default=0.05)
    judging.add_argument("pools", type=Path, nargs="+", metavar="POOL")
    judging.add_argument("--trials", type=int, default=1000)
    judging.add_argument("--rank", type=float, default=50)
    single.add_argument("artifact", type=Path)
    single.add_argument("delay", type=float)
    args = parser.parse_args()
    try:
        if args.step == "one":
            one(args.artifact, args.delay)
        elif args.step == "collect":
            collect(args.artifact, args.pool, args.processes, args.delay)
        else:
            print(json.dumps(judge(args.pools, args.trials, Question(rank=args.rank)), indent=2))
    except SegfastError as error:
        print(f"comparing: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
