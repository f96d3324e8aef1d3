"""The runner end to end: each stage alone, the pipeline against its slowest thread, half capacity, start, memory.

    python benchmarks/pipeline.py ARTIFACT [--threads 1] [--size 1280x720] [--rounds 5] [--json]

Frames are JPEG of a drawn road (quality 85), decoded in full unless --reduced-decode. A round measures every stage
alone in one thread, then the pipeline with nothing held back, then the pipeline at half the rate it has just reached;
the figures are medians over rounds of what was measured within each round, so that a load that comes and goes hits both
sides of a ratio alike. The load of the machine is in the report. Start and memory are those of a process of its own.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segfast_edge.contract.masks import mask_at
from segfast_edge.contract.shared.arguments import ExactParser
from segfast_edge.contract.shared.bootstrap import percentile
from segfast_edge.errors import SegfastError
from targets.common.session import Options
from targets.common.target import target
from targets.runner.decoding import Encoded
from targets.runner.frames import Notice, Result
from targets.runner.inputs import EndOfInputError, Grab
from targets.runner.inputs._drawing import draw_road, jpeg
from targets.runner.inputs._pace import Metronome
from targets.runner.main_loop import Service
from targets.runner.model import Model, ModelChoice, open_model
from targets.runner.pipeline import Pipeline, PipelineSettings
from targets.runner.telemetry import Telemetry

ROOT = Path(__file__).resolve().parents[1]
PHASES = 16
THREADS_OF = {"decode": "decoding thread", "preprocess": "decoding thread"}  # the rest is the inference thread's


class Memory:
    """Frames from memory: as fast as they are taken, or at a rate as a camera would."""

    def __init__(self, frames: Sequence[bytes], count: int, rate: float | None) -> None:
        self.live = rate is not None
        self._frames = frames
        self._left = count
        self._metronome = Metronome(rate)

    def connect(self) -> None:
        """Nothing to do."""

    def read(self, _: float, /) -> Grab:
        """Return the next frame."""
        if not self._left or not self._metronome.wait():
            raise EndOfInputError
        self._left -= 1
        return Grab("frame", Encoded(self._frames[self._left % len(self._frames)], "frame"))

    def interrupt(self) -> None:
        """End a wait."""
        self._metronome.stop()

    def close(self) -> None:
        """Nothing is open."""


class Kept:
    """Keeps when each result was finished, and how old its frame was by then."""

    wants_frame = False

    def __init__(self) -> None:
        self.finished_ns: list[int] = []
        self.ages_ms: list[float] = []

    def write(self, result: Result) -> None:
        """Take a result."""
        self.finished_ns.append(result.finished_ns)
        self.ages_ms.append(result.age_ms)

    def notice(self, _: Notice) -> None:
        """None is expected."""

    def close(self) -> None:
        """Nothing is open."""


def stages(
    model: Model, frames: Sequence[bytes], size: tuple[int, int], *, reduced: bool, count: int
) -> dict[str, float]:
    """Return each stage's median in milliseconds, alone in one thread."""
    times: dict[str, list[float]] = {}

    def timed(name: str, work: Callable[[], Any]) -> Any:
        started = time.perf_counter_ns()
        result = work()
        times.setdefault(name, []).append((time.perf_counter_ns() - started) / 1e6)
        return result

    preprocess = model.manifest.preprocess
    for index in range(count):
        payload = Encoded(frames[index % len(frames)], "frame")
        picture, _ = timed("decode", lambda: payload.decode(preprocess.size if reduced else None))  # noqa: B023 - called at once
        batch = timed("preprocess", lambda: preprocess.picture(picture)[np.newaxis])  # noqa: B023
        labels = timed("inference", lambda: model.labels(batch))  # noqa: B023
        timed("postprocess", lambda: mask_at(labels, size))  # noqa: B023
    return {name: statistics.median(each) for name, each in times.items()}


def stream(model: Model, frames: Sequence[bytes], *, count: int, rate: float | None, reduced: bool) -> Kept:
    """Run the pipeline over ``count`` frames and return what came out."""
    kept = Kept()
    settings = PipelineSettings(
        reduced_decode=reduced, drain_s=60, deadline_ms=3_600_000
    )  # nothing is late: no step down
    pipeline = Pipeline(Memory(frames, count, rate), model, {"kept": kept}, settings=settings, telemetry=Telemetry())
    tally = Service(pipeline, model).run()
    assert tally.balanced
    assert tally.in_flight == 0
    return kept


def measure(model: Model, frames: Sequence[bytes], args: argparse.Namespace) -> dict[str, Any]:
    """Return one round."""
    height, width = args.size
    alone = stages(model, frames, (height, width), reduced=args.reduced_decode, count=args.frames)
    threads: dict[str, float] = {}
    for name, spent_ms in alone.items():
        thread = THREADS_OF.get(name, "inference thread")
        threads[thread] = threads.get(thread, 0.0) + spent_ms
    full = stream(model, frames, count=args.frames, rate=None, reduced=args.reduced_decode)
    fps = (len(full.finished_ns) - 1) / (full.finished_ns[-1] - full.finished_ns[0]) * 1e9
    half = stream(model, frames, count=args.frames, rate=fps / 2, reduced=args.reduced_decode).ages_ms[5:]
    return {
        "stage_ms": alone,
        "thread_ms": threads,
        "fps": fps,
        "of_slowest": fps * max(threads.values()) / 1000,
        "half_p50_ms": percentile(half, 50),
        "half_p99_ms": percentile(half, 99),
        "load": os.getloadavg()[0],
    }


def process(artifact: Path, frames: Sequence[bytes], args: argparse.Namespace) -> dict[str, float]:
    """Return the seconds from the start of a runner's process to its first mask, and its resident memory in MB."""
    with tempfile.TemporaryDirectory(prefix="segfast-pipeline-") as folder:
        for index, data in enumerate(frames):
            (Path(folder) / f"{index:02d}.jpg").write_bytes(data)
        words = [str(artifact), folder, "jsonl:-", "--rate", "10", "--repeat", "--threads", str(args.threads)]
        command = [sys.executable, "-m", "targets", args.target, "stream", *words]
        started = time.perf_counter()
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            assert child.stdout is not None
            child.stdout.readline()
            first_s = time.perf_counter() - started
            for _ in range(30):
                child.stdout.readline()
            text = Path(f"/proc/{child.pid}/status").read_text()
            child.terminate()
            child.stdout.read()
    kilobytes = {name: int(value) for name, value in re.findall(r"(VmRSS|VmHWM|RssAnon):\s+(\d+) kB", text)}
    return {"first_mask_s": first_s, **{f"{name}_mb": value / 1000 for name, value in kilobytes.items()}}


def _median(values: Sequence[Any]) -> Any:
    if isinstance(values[0], Mapping):
        return {key: _median([value[key] for value in values]) for key in values[0]}
    return round(statistics.median(values), 3)


def _size(text: str) -> tuple[int, int]:
    width, _, height = text.partition("x")
    return int(height), int(width)


def main() -> int:
    """Measure and print."""
    parser = ExactParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--target", default="x86")
    parser.add_argument("--threads", type=int, default=1, help="of the engine (default 1: the other core decodes)")
    parser.add_argument("--size", type=_size, default=(720, 1280), metavar="WxH")
    parser.add_argument("--frames", type=int, default=150, help="per measurement (default %(default)s)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--reduced-decode", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    frames = [jpeg(draw_road(args.size, phase / PHASES)) for phase in range(PHASES)]
    try:
        model = open_model(ModelChoice(target(args.target), args.artifact, Options(args.threads)))
    except SegfastError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    stages(model, frames, args.size, reduced=args.reduced_decode, count=20)  # what is first is never fast
    rounds = [measure(model, frames, args) for _ in range(args.rounds)]
    starts = [process(args.artifact, frames, args) for _ in range(3)]
    report = {
        "artifact": args.artifact.name,
        "frames": f"{args.size[1]}x{args.size[0]}",
        "threads": args.threads,
        "reduced_decode": args.reduced_decode,
        "cores": len(os.sched_getaffinity(0)),
        **_median(rounds),
        "process": _median(starts),
        "rounds": rounds,
    }
    if args.json:
        print(json.dumps(report, indent=2))
        return 0
    for name, spent_ms in {**report["stage_ms"], **report["thread_ms"]}.items():
        print(f"{name:16} {spent_ms:8.2f} ms")
    print(
        f"pipeline         {report['fps']:8.1f} frames/s, {report['of_slowest']:.0%} of what its slowest thread allows"
    )
    p50, p99 = report["half_p50_ms"], report["half_p99_ms"]
    print(f"at half of that  {p50:8.2f} ms age p50, {p99:.2f} ms p99 ({p99 / p50:.2f}x)")
    about = report["process"]
    print(f"process          {about['first_mask_s']:8.2f} s to the first mask, {about['VmRSS_mb']:.0f} MB resident")
    print(f"load of the machine {report['load']:.1f} on {report['cores']} cores")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
