"""Our p50 beside that of OpenVINO's benchmark_app and LiteRT's litert-benchmark, on the same file, in the same run.

    python benchmarks/peers.py ARTIFACT... [--threads 1] [--rounds 5] [--json]

Each round runs ours and the peer's in random order, each in a process of its own with the same number of threads
and in float32; the figure is the median over rounds of the ratio within a round. Exit 1 where a ratio lies outside
5 %, exit 5 where one of our measurements was invalid (foreign load, throttling).
"""

import argparse
import json
import random
import re
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.profile_options import ProfileOptions
from segfast_edge.contract.shared.arguments import ExactParser
from segfast_edge.contract.shared.endings import failure
from segfast_edge.errors import SegfastError, TargetError
from segfast_edge.profiling.local import profile

ALLOWED = 0.05
SECONDS = 3.0


def _tool(name: str) -> str:
    path = Path(sys.executable).parent / name
    if not path.is_file():
        raise TargetError(f"{name} is not beside {sys.executable}; install the runtime that brings it")
    return str(path)


def benchmark_app(model: Path, threads: int) -> float:
    """Return the median in ms that OpenVINO's benchmark_app gives for one synchronous request."""
    words = ["-m", str(model), "-d", "CPU", "-api", "sync", "-hint", "none", "-nstreams", "1"]
    words += ["-nthreads", str(threads), "-infer_precision", "f32", "-t", str(int(SECONDS))]
    done = subprocess.run([_tool("benchmark_app"), *words], check=False, capture_output=True, text=True)
    found = re.search(r"Median:\s+([\d.]+) ms", done.stdout)
    if done.returncode or found is None:
        raise TargetError(failure("benchmark_app", done.returncode, done.stderr or done.stdout))
    return float(found[1])


def litert_benchmark(model: Path, threads: int) -> float:
    """Return the median in ms that LiteRT's litert-benchmark gives on the CPU."""
    with tempfile.TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        words = ["--model", str(model), "--num_threads", str(threads), "--warmup_runs", "20", "--num_runs", "300"]
        done = subprocess.run(
            [_tool("litert-benchmark"), *words, "--result_json", str(result)],
            check=False,
            capture_output=True,
            text=True,
        )
        if done.returncode or not result.is_file():
            raise TargetError(failure("litert-benchmark", done.returncode, done.stderr or done.stdout))
        return float(_find(json.loads(result.read_text()), "median_ms"))


def _find(value: object, key: str) -> float:
    """Return the first number under ``key`` at any depth."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if key in item:
                return float(item[key])
            stack += item.values()
    raise TargetError(f"the peer's result has no {key}")


PEERS: dict[str, tuple[str, Callable[[Path, int], float]]] = {
    "openvino": ("benchmark_app", benchmark_app),
    "tflite": ("litert-benchmark", litert_benchmark),
}


def compare(artifact: Path, threads: int, rounds: int) -> dict[str, object]:
    """Measure one artifact by both, ``rounds`` times in random order."""
    manifest = Manifest.load(artifact)
    if manifest.format not in PEERS:
        raise SegfastError(f"{artifact} is {manifest.format}; peers are there for {', '.join(PEERS)}")
    name, peer = PEERS[manifest.format]
    plan = ProfileOptions(threads=threads, min_secs=SECONDS, num_runs=300)
    ours, theirs, reasons = [], [], set()
    order = random.Random(0)

    def measure_ours() -> None:
        report = profile(artifact, plan=plan)
        ours.append(report.latency.p50_ms)
        reasons.update(report.reasons)

    def measure_theirs() -> None:
        theirs.append(peer(artifact / manifest.model_file, threads))

    for _ in range(rounds):
        for measure in order.sample([measure_ours, measure_theirs], 2):
            measure()
    ratios = [mine / other for mine, other in zip(ours, theirs, strict=True)]
    return {
        "artifact": str(artifact),
        "format": manifest.format,
        "peer": name,
        "threads": threads,
        "ours_ms": ours,
        "theirs_ms": theirs,
        "ratio": statistics.median(ratios),
        "ratio_range": [min(ratios), max(ratios)],
        "invalid": sorted(reasons),
    }


def main() -> int:
    """Print a line or a JSON object per artifact."""
    parser = ExactParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("artifacts", nargs="+", type=Path, metavar="ARTIFACT")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    try:
        results = [compare(artifact, args.threads, args.rounds) for artifact in args.artifacts]
    except SegfastError as error:
        print(f"peers: {error}", file=sys.stderr)
        return error.exit_code
    for found in results:
        if args.json:
            print(json.dumps(found))
            continue
        low, high = found["ratio_range"]
        mine, other = statistics.median(found["ours_ms"]), statistics.median(found["theirs_ms"])
        print(
            f"{found['artifact']}: ours {mine:.3f} ms, {found['peer']} {other:.3f} ms,"
            f" ratio {found['ratio']:.3f} ({low:.3f} to {high:.3f}), {found['threads']} threads, float32"
        )
        for reason in found["invalid"]:
            print(f"  invalid: {reason}")
    if any(found["invalid"] for found in results):
        return 5
    return int(any(abs(found["ratio"] - 1) > ALLOWED for found in results))


if __name__ == "__main__":
    sys.exit(main())
