"""The whole path on embedded data: scenes, a short training, every format, parity, profiles, one page."""

import datetime
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from segfast_edge import __version__
from segfast_edge.contract.formats import format_names
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.masks import mask_at
from segfast_edge.contract.overlay import colour_mask, overlay
from segfast_edge.contract.profile_options import ProfileOptions
from segfast_edge.contract.report import Report
from segfast_edge.contract.shared.files import write_json
from segfast_edge.contract.shared.images import Frame, Labels, read_frame
from segfast_edge.data import Dataset, Sample, native_size, open_dataset
from segfast_edge.data.protocol import Protocol as CountingProtocol
from segfast_edge.errors import ArtifactError
from segfast_edge.export.common.prepared import PreparedNetwork
from segfast_edge.export.common.request import ExportRequest
from segfast_edge.export.convert import convert
from segfast_edge.page import picture, write_page
from segfast_edge.prediction.evaluate import Evaluation, GroundTruth, evaluate
from segfast_edge.prediction.predictor import open_predictor
from segfast_edge.profiling.local import profile
from segfast_edge.training.recipe import recipe
from segfast_edge.training.run_folder import RunFolder
from segfast_edge.training.settings import TrainingSettings
from segfast_edge.training.train import Observer, Outcome, Start, train

SHOWN_FRAMES = 4
MARK = "demo.json"
SIZE = (192, 256)  # the scenes' 3:4, and small enough for a few minutes on two cores
Counted = AbstractContextManager[Callable[[int, int], None]]


@dataclass(frozen=True, slots=True)
class DemoRequest:
    """The demo's output folder and the length of its training."""

    folder: Path
    model: str = "segfast"
    epochs: int = 8
    frames: int = 320
    val_frames: int = 40
    threads: int = 0

    @property
    def data(self) -> str:
        """The dataset with its options."""
        return f"scenes:train={self.frames},val={self.val_frames}"


@dataclass(frozen=True, slots=True)
class Screen:
    """The demo's output: a heading per step, a training's observer, a bar for what is counted."""

    step: Callable[[str], None]
    training: AbstractContextManager[Observer]
    bar: Callable[[str], Counted]


@dataclass(frozen=True, slots=True)
class DemoResult:
    """One format: what was made of it and how it did."""

    folder: Path
    manifest: Manifest
    evaluation: Evaluation
    report: Report

    @property
    def megabytes(self) -> float:
        """Size of the artifact's model files, without the golden frame."""
        files = [self.folder / name for name in self.manifest.files if not name.startswith("golden/")]
        return sum(path.stat().st_size for path in files) / 1e6


def run_demo(request: DemoRequest, screen: Screen) -> Path:
    """Run everything and return the page; a training that was interrupted continues where it stopped.

    Raises:
        SegfastError: a runtime is missing, the folder is not writable, or parity failed.
    """
    _claim(request.folder)
    screen.step(f"training {request.model} on {request.frames} drawn street scenes")
    outcome = _train(request, screen)
    checkpoint = request.folder / "training" / "best.pt"
    truth = GroundTruth(request.data)
    screen.step("evaluating the checkpoint in torch")
    with screen.bar("evaluating") as progress:
        reference = evaluate(open_predictor(checkpoint), truth, progress)
    source = PreparedNetwork(checkpoint)
    results = {name: _one_format(name, source, request, screen) for name in format_names()}
    screen.step("writing the page")
    page = request.folder / "index.html"
    _write(page, request, outcome, reference, results)
    return page


def _claim(folder: Path) -> None:
    """Make the demo's folder; one that holds anything but an earlier demo is not ours to write over."""
    if folder.exists() and not (folder / MARK).is_file() and (not folder.is_dir() or any(folder.iterdir())):
        raise ArtifactError(f"{folder} contains something other than a demo. Choose another --out")
    write_json(folder / MARK, {"made by": "segfast-edge demo", "version": __version__})


def _train(request: DemoRequest, screen: Screen) -> Outcome:
    folder = RunFolder(request.folder / "training")
    chosen = replace(recipe("paper"), epochs=request.epochs, schedule="cosine", lr=2e-3)
    settings = TrainingSettings(
        model=request.model, data=request.data, protocol="standard", size=SIZE, seed=0, recipe=chosen
    )
    same = folder.last.is_file() and TrainingSettings.from_json(folder.config(), settings.hardware) == settings
    with screen.training as observer:
        outcome = train(settings, folder, observer, start=Start(resume=same, overwrite=not same))
    if outcome.ending == "interrupted":
        raise KeyboardInterrupt  # it is saved, and the same command goes on with it
    return outcome


def _one_format(name: str, source: PreparedNetwork, request: DemoRequest, screen: Screen) -> DemoResult:
    folder = request.folder / name
    screen.step(f"{name}: converting, and comparing with torch")
    manifest = convert(source, ExportRequest(name, folder, overwrite=True, command="segfast-edge demo"))
    screen.step(f"{name}: evaluating the artifact, then profiling it, each in a process of its own")
    with screen.bar("evaluating") as progress:
        evaluation = evaluate(open_predictor(folder), GroundTruth(request.data), progress)
    report = profile(folder, plan=ProfileOptions(threads=request.threads, max_secs=20.0))
    return DemoResult(folder, manifest, evaluation, report)


def _pictures(artifact: Path, dataset: Dataset) -> list[dict[str, str]]:
    """Return rows of frame, truth, prediction and overlay, the prediction by the device's code."""
    places = np.linspace(0, len(dataset) - 1, min(SHOWN_FRAMES, len(dataset))).round().astype(int)
    samples = [dataset[int(place)] for place in places]
    with open_predictor(artifact).labels((sample.name, sample.frame) for sample in samples) as predicted:
        views = [_views(sample, labels, dataset) for sample, labels in zip(samples, predicted, strict=True)]
    return [{name: picture(pixels) for name, pixels in row.items()} for row in views]


def _views(sample: Sample, labels: Labels, dataset: Dataset) -> dict[str, Frame]:
    mask = mask_at(labels, (sample.frame.shape[0], sample.frame.shape[1]))
    return {
        "frame": sample.frame,
        "truth": colour_mask(sample.labels, dataset.classes),
        "prediction": colour_mask(mask, dataset.classes),
        "overlay": overlay(sample.frame, mask, dataset.classes),
    }


COLUMNS = (
    "format", "size", "mIoU", "labels as torch", "largest logit difference", "executed", "p50", "p99", "frames/s",
    "first inference", "memory", "threads",
)  # fmt: skip


def _row(name: str, result: DemoResult) -> Sequence[str]:
    parity, report = result.manifest.parity, result.report
    return (
        name,
        f"{result.megabytes:.2f} MB",
        f"{100 * result.evaluation.matrix.miou:.2f} %",
        f"{100 * parity['label_agreement']:.3f} %",
        f"{parity['logits_max_abs_diff']:.1e}",
        report.executed_precision,
        f"{report.latency.p50_ms:.2f} ms",
        f"{report.latency.p99_ms:.2f} ms",
        f"{report.latency.throughput_fps:.0f}",
        f"{report.first_inference_ms:.1f} ms",
        f"{report.memory.over_baseline_bytes / 1e6:.0f} MB",
        str(report.threads),
    )


def _write(
    page: Path, request: DemoRequest, outcome: Outcome, reference: Evaluation, results: Mapping[str, DemoResult]
) -> None:
    from segfast_edge.page.plots import latency_bars

    fastest = min(results, key=lambda name: results[name].report.latency.p50_ms)
    protocol = CountingProtocol.named("standard", native_size("scenes", None), SIZE)
    dataset = open_dataset(request.data, None, "val", protocol)
    invalid = {name: result.report.reasons for name, result in results.items() if result.report.reasons}
    write_page(
        page,
        "demo.html.j2",
        title="segfast-edge",
        lead=f"{request.model}: trained, exported, proved equal and measured on this machine.",
        facts=_facts(outcome, reference, results[fastest]),
        shown_format=fastest,
        pictures=_pictures(results[fastest].folder, dataset),
        legend=dict(zip(dataset.classes.names, dataset.classes.palette, strict=True)),
        training=f"{outcome.epochs} epochs over {request.frames} scenes; a demonstration, not a product.",
        curve=picture(read_frame(request.folder / "training" / "curves.png", convert=True)),
        columns=COLUMNS,
        rows=[_row(name, result) for name, result in results.items()],
        frames=reference.frames,
        conditions=_conditions(invalid),
        latency=latency_bars({name: result.report for name, result in results.items()}),
        commands=_commands(request, fastest),
    )


def _facts(outcome: Outcome, reference: Evaluation, fastest: DemoResult) -> dict[str, Any]:
    return {
        "mIoU in torch": f"{100 * reference.matrix.miou:.2f} %",
        "pixel accuracy": f"{100 * reference.matrix.pixel_accuracy:.2f} %",
        "protocol": outcome.protocol,
        "fastest": f"{fastest.manifest.format}, {fastest.report.latency.p50_ms:.2f} ms",
        "machine": fastest.report.machine.get("processor") or "unknown processor",
        "made": datetime.datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
    }


def _conditions(invalid: Mapping[str, Sequence[str]]) -> str:
    if not invalid:
        return "All measurements were taken under valid conditions."
    reasons = "; ".join(f"{name} ({', '.join(found)})" for name, found in invalid.items())
    return f"Invalid measurements, which are shown nevertheless: {reasons}."


def _commands(request: DemoRequest, fastest: str) -> list[str]:
    artifact, checkpoint = request.folder / fastest, request.folder / "training" / "best.pt"
    return [
        f"segfast-edge predict my-photo.jpg --model {artifact} --out predicted",
        f"segfast-edge profile {artifact} --target x86 --threads 1",
        "segfast-edge train --protocol standard --data folder --data-root my-data --output-dir runs/mine",
        f"segfast-edge convert {checkpoint} --target openvino,tflite -o artifacts",
    ]
