"""From logits to labels: what taking the largest class before or after upsampling costs in time and in mIoU.

    python benchmarks/postprocessing.py camvid-paper-segfast --data camvid --data-root CamVid --threads 1

``after`` is what ``convert`` writes, and what torch computes: logits upsampled bilinearly, then the largest of each
pixel. ``before`` takes the largest class at the classifier's own size and repeats it for each pixel that it stands
for: a quarter of the values, and steps along every boundary. mIoU is that of the checkpoint in torch, both ways from
the same logits. Time is that of the int8 artifact in OpenVINO, both in one process in rounds of random order.
"""

import argparse
import contextlib
import random
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.converter_race.cases import Case
from benchmarks.converter_race.making import draw_frames, frames_of
from segfast_edge.contract.shared.arguments import ExactParser
from segfast_edge.contract.shared.bootstrap import mean_median, mean_median_interval
from segfast_edge.contract.shared.images import Labels
from segfast_edge.errors import SegfastError
from segfast_edge.export import exporter
from segfast_edge.export.common.bilinear_doubling import largest
from segfast_edge.export.common.conversion import begin
from segfast_edge.export.common.exporter import Int8Recipe, quantizer
from segfast_edge.export.common.graph import Deployable
from segfast_edge.export.common.prepared import PreparedNetwork
from segfast_edge.export.common.request import ExportRequest
from segfast_edge.prediction.evaluate import GroundTruth, evaluate
from segfast_edge.prediction.predictor import NamedFrame, Predictor
from segfast_edge.weights import find
from targets.common.session import Options
from targets.common.target import choose_engine, target

AFTER, BEFORE = "after", "before"
PICTURES = 12


def classified(network: nn.Module, pixels: Tensor) -> Tensor:
    """Return the logits at the size that the classifier computes them in, padding included."""
    seen: list[Tensor] = []
    hook = network.get_submodule("classifier").register_forward_hook(
        lambda _layer, _inputs, logits: seen.append(logits)
    )
    try:
        network(pixels)
    finally:
        hook.remove()
    return seen.pop()


class Before(Deployable):
    """The deployed graph with the largest class taken before upsampling."""

    def forward(self, frames: Tensor) -> Tensor:
        """Compute labels of uint8 frames, 1 x H x W x 3."""
        pixels = self.normalise(frames.to(torch.float32).permute(0, 3, 1, 2))
        return repeated(classified(self.network, pixels), self.preprocess.size)

    def _like(self, network: nn.Module, output_kind: object) -> "Before":  # noqa: ARG002 - it gives labels only
        graph = Before(network, self.preprocess, self.classes)
        graph.lowering = self.lowering
        return graph


def repeated(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Return the largest class of each place, repeated twice along both axes and cropped to ``size``."""
    labels = largest(logits).float()[:, None]
    return F.interpolate(labels, scale_factor=2.0, mode="nearest")[:, 0, : size[0], : size[1]].to(torch.uint8)


def miou(source: PreparedNetwork, graph: Deployable, truth: GroundTruth) -> float:
    """Return the mIoU of a graph that gives labels, run by torch."""

    @torch.inference_mode()
    def label(frames: Iterable[NamedFrame]) -> Iterator[Labels]:
        for _, frame in frames:
            batch = torch.from_numpy(np.array(graph.preprocess.image(frame))[np.newaxis])
            yield graph(batch)[0].numpy()

    checkpoint = source.checkpoint
    predictor = Predictor("network", graph.classes, graph.preprocess, checkpoint.protocol, label)
    return float(evaluate(predictor, truth, lambda *_: None).matrix.miou)


@contextlib.contextmanager
def artifact(source: PreparedNetwork, graph: Deployable, work: Path, threads: int) -> Iterator[Callable[[], object]]:
    """Give what runs a graph in int8 once, in OpenVINO."""
    writer = exporter("openvino")
    request = ExportRequest("openvino", work)
    conversion = begin(source, request, writer, work, lambda _: None)
    graph.lowering = request.form
    case = Case(source.checkpoint.network, source.checkpoint.preprocess.size, work)
    frames = frames_of(case, draw_frames(work.parent, PICTURES))
    manifest = quantizer(writer, "openvino").quantize(graph, conversion.draft, work, Int8Recipe(frames)).save(work)
    _, engine = choose_engine(target("x86"), manifest)
    session = engine.load(work, manifest, Options(threads, "f32"))
    yield lambda: session.run(frames[0][np.newaxis])


def race(runs: dict[str, Callable[[], object]], rounds: int, seconds: float) -> dict[str, list[list[float]]]:
    """Return each one's milliseconds, round by round."""
    order, samples = random.Random(0), {name: [] for name in runs}
    for run in runs.values():
        for _ in range(20):
            run()
    for _ in range(rounds):
        for name in order.sample(sorted(runs), len(runs)):
            until, taken = time.monotonic() + seconds, []
            runs[name]()
            while time.monotonic() < until or len(taken) < 10:
                started = time.perf_counter_ns()
                runs[name]()
                taken.append((time.perf_counter_ns() - started) / 1e6)
            samples[name].append(taken)
    return samples


def main() -> int:
    """Measure and print a table."""
    parser = ExactParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weights", nargs="+", type=Path, help="checkpoints, or names of shipped weights")
    parser.add_argument("--data", required=True)
    parser.add_argument("--data-root", type=Path)
    parser.add_argument("--split", default="val")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds-per-round", type=float, default=0.3)
    args = parser.parse_args()
    print("| weights | largest class | mIoU | ms, mean of the rounds' medians [95 %] |")
    print("|---|---|---|---|")
    try:
        for path in args.weights:
            _one(path, args)
    except SegfastError as error:
        print(f"postprocessing: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _one(path: Path, args: argparse.Namespace) -> None:
    source = PreparedNetwork(find(path))
    exact = source.graph
    graphs = {AFTER: exact, BEFORE: Before(exact.network, exact.preprocess, exact.classes)}
    truth = GroundTruth(args.data, args.data_root, args.split)
    figures = {name: miou(source, graph, truth) for name, graph in graphs.items()}
    with TemporaryDirectory(prefix="segfast-postprocessing-") as folder, contextlib.ExitStack() as stack:
        runs = {}
        for name, graph in graphs.items():
            work = Path(folder) / name
            work.mkdir()
            runs[name] = stack.enter_context(artifact(source, graph, work, args.threads))
        samples = race(runs, args.rounds, args.seconds_per_round)
    for name, rounds in samples.items():
        low, high = mean_median_interval(rounds)
        print(
            f"| {path} | {name} upsampling | {figures[name]:.4f} | {mean_median(rounds):.2f} [{low:.2f}, {high:.2f}] |"
        )


if __name__ == "__main__":
    sys.exit(main())
