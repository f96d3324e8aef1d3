"""A folder of pictures through ``predict`` against the network alone: how much of its frame rate is left.

    python benchmarks/predicting.py ARTIFACT [--threads 1] [--save labels] [--pictures 300] [--rounds 5]

The network alone is what ``profile`` measures: runs on one frame that is in memory. Both sides alternate in each round,
so that a load that comes and goes hits both; the ratio is taken within each round. The folder's rate is from its first
result to its last, which leaves out starting the runtime: for 10,000 pictures that is nothing. Pictures are JPEGs of
drawn roads.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from segfast_edge.contract.preprocess import parse_size
from segfast_edge.contract.profile_options import ProfileOptions
from segfast_edge.contract.shared.arguments import ExactParser
from segfast_edge.errors import SegfastError
from segfast_edge.prediction.predict import PredictionOutput, plan, predict
from segfast_edge.prediction.predictor import open_predictor
from segfast_edge.prediction.saving import kinds_of
from segfast_edge.profiling.local import profile

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from targets.runner.inputs._drawing import draw_road, jpeg


def network_fps(artifact: Path, threads: int) -> float:
    """Return the frame rate of the network alone, from the median."""
    report = profile(artifact, plan=ProfileOptions(threads=threads, min_secs=3.0, max_secs=10.0))
    return 1000 / report.latency.p50_ms


def folder_fps(artifact: Path, pictures: Path, threads: int, kinds: tuple[str, ...]) -> float:
    """Return the rate at which a folder's results are written."""
    times = []
    with tempfile.TemporaryDirectory(prefix="segfast-predicted-") as out:
        jobs = plan([str(pictures)], kinds)
        for found in predict(open_predictor(artifact, threads=threads), jobs, PredictionOutput(Path(out))):
            if found.problem:
                raise SegfastError(found.problem)
            times.append(time.perf_counter())
    return (len(times) - 1) / (times[-1] - times[0])


def main() -> int:
    """Measure and print."""
    parser = ExactParser(description=__doc__.partition("\n")[0])
    parser.add_argument("artifact", type=Path)
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of the engine (default 1)")
    parser.add_argument("--save", default="labels", metavar="LIST", help="as in predict (default labels)")
    parser.add_argument("--pictures", type=int, default=300, metavar="N", help="pictures in the folder (default 300)")
    parser.add_argument("--size", default="480x360", metavar="WxH", help="size of the pictures (default 480x360)")
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="rounds (default 5)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    args = parser.parse_args()
    wide, high = parse_size(args.size)
    rounds: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="segfast-pictures-") as name:
        for number in range(args.pictures):
            (Path(name) / f"{number:05}.jpg").write_bytes(jpeg(draw_road((high, wide), number)))
        for _ in range(args.rounds):
            alone = network_fps(args.artifact, args.threads)
            folder = folder_fps(args.artifact, Path(name), args.threads, kinds_of(args.save))
            load = os.getloadavg()[0]
            rounds.append({"network_fps": alone, "folder_fps": folder, "ratio": folder / alone, "load": load})
    ratios = sorted(each["ratio"] for each in rounds)
    summary = {"ratio": statistics.median(ratios), "lowest": ratios[0], "highest": ratios[-1], "rounds": rounds}
    if args.json:
        print(json.dumps(summary, indent=2))
        return 0
    for each in rounds:
        print("  ".join(f"{key} {value:.2f}" for key, value in each.items()))
    print(f"folder over network: {summary['ratio']:.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
