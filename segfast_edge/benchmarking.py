"""One table of a network in every format and precision: accuracy, agreement with torch, latency, size and memory."""

import dataclasses
import math
from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from segfast_edge.contract.formats import format_named, format_names
from segfast_edge.contract.manifest import GOLDEN_FRAME, GOLDEN_LABELS, Manifest
from segfast_edge.contract.profile_options import ProfileOptions
from segfast_edge.contract.report import Report
from segfast_edge.contract.shared.images import Labels, read_frame, read_labels, write_picture
from segfast_edge.data import open_source
from segfast_edge.errors import DataError, SegfastError
from segfast_edge.prediction.evaluate import GroundTruth, evaluate
from segfast_edge.prediction.predictor import NamedFrame, Predictor, open_predictor
from segfast_edge.profiling.local import profile
from segfast_edge.progress import Announce

if TYPE_CHECKING:
    from segfast_edge.export.common.prepared import PreparedNetwork

FLOAT, INT8 = PRECISIONS = ("float32", "int8")
TORCH, GOLDEN = "torch", "its golden frame"
REMEMBERED = 100  # frames whose labels are kept to compare formats with torch
CALIBRATED_ON = "train"


@dataclass(frozen=True, slots=True)
class BenchmarkRequest:
    """A benchmark to run: ``calibration_frames`` are taken from the data's ``train`` for int8.

    ``folder`` receives the artifacts that checkpoints are converted to.
    """

    models: Sequence[Path]
    truth: GroundTruth
    folder: Path
    formats: Sequence[str]
    precisions: Sequence[str] = PRECISIONS
    options: ProfileOptions = field(default_factory=ProfileOptions)
    target: str = "x86"
    calibration_frames: int = 32


@dataclass(frozen=True, slots=True)
class BenchmarkRow:
    """One model in one format and precision; what could not be measured is None, and ``problem`` tells why.

    ``agreement`` is the share of labels that are the same as ``reference`` gives, 0 to 1.
    """

    model: str
    format: str
    precision: str
    miou: float | None = None
    agreement: float | None = None
    reference: str = ""
    report: Report | None = None
    file_bytes: int | None = None
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        report = self.report
        measured: dict[str, Any] = {
            "engine": report and report.engine,
            "executed_precision": report and report.executed_precision,
            "threads": report and report.threads,
            "p50_ms": report and report.latency.p50_ms,
            "p99_ms": report and report.latency.p99_ms,
            "frames_per_second": report and report.latency.throughput_fps,
            "resident_bytes": report and report.memory.over_baseline_bytes,
            "valid": report and report.valid,
            "reasons": list(report.reasons) if report else [],
        }
        return {
            "model": self.model,
            "format": self.format,
            "precision": self.precision,
            "miou": self.miou,
            "agreement": self.agreement,
            "agreement_with": self.reference,
            "file_bytes": self.file_bytes,
            **measured,
            "problem": self.problem,
        }


def benchmark(request: BenchmarkRequest, announce: Announce) -> Iterator[BenchmarkRow]:
    """Measure each model: a checkpoint in torch and in every format and precision, an artifact as it is.

    What fails is a row with its problem and does not end the rest.
    """
    for model in request.models:
        if model.is_dir():
            yield _artifact(model, request, announce)
        else:
            yield from _checkpoint(model, request, announce)


def _artifact(path: Path, request: BenchmarkRequest, announce: Announce) -> BenchmarkRow:
    manifest = Manifest.load(path)
    row = BenchmarkRow(path.name, manifest.format, manifest.precision, reference=GOLDEN)
    if not (path / GOLDEN_FRAME).is_file():
        return _measured(dataclasses.replace(row, reference=""), path, request, announce)
    golden = read_labels(path / GOLDEN_LABELS)
    with open_predictor(path, target=request.target).labels([("golden", read_frame(path / GOLDEN_FRAME))]) as found:
        agreement = _agreement(list(found), [golden])
    return _measured(dataclasses.replace(row, agreement=agreement), path, request, announce)


def _checkpoint(path: Path, request: BenchmarkRequest, announce: Announce) -> Iterator[BenchmarkRow]:
    announce(f"{path.stem}: in torch")
    predictor = open_predictor(path)
    miou, expected, problem = _accuracy(predictor, request.truth)
    yield BenchmarkRow(path.stem, TORCH, FLOAT, miou, 1.0, TORCH, problem=problem)
    source = _source(path)
    for name in request.formats:
        for precision in request.precisions:
            row = BenchmarkRow(path.stem, name, precision, reference=TORCH)
            if precision == INT8 and not format_named(name).integer:
                continue
            folder = request.folder / f"{path.stem}-{name}-{precision}"
            announce(f"{path.stem}: writing {name} in {precision}, and comparing it with torch")
            try:
                _convert(source, folder, row, request)
            except SegfastError as error:
                yield dataclasses.replace(row, problem=str(error))
                continue
            except ModuleNotFoundError as error:
                yield dataclasses.replace(row, problem=f"{error.name} is missing; segfast-edge doctor says what to do")
                continue
            yield _measured(row, folder, request, announce, expected)


def _source(path: Path) -> "PreparedNetwork":
    from segfast_edge.export.common.prepared import PreparedNetwork  # torch, which measuring artifacts does without

    return PreparedNetwork(path)


def _convert(source: "PreparedNetwork", folder: Path, row: BenchmarkRow, request: BenchmarkRequest) -> None:
    from segfast_edge.data.calibration import Calibration
    from segfast_edge.export.common.quantization import Quantization
    from segfast_edge.export.common.request import ExportRequest
    from segfast_edge.export.convert import convert

    quantization = None
    if row.precision == INT8:
        pictures = _calibration_pictures(request)
        quantization = Quantization(Calibration.open(pictures, None), None)
    convert(source, ExportRequest(row.format, folder, quantization=quantization, command="segfast-edge benchmark"))


def _calibration_pictures(request: BenchmarkRequest) -> Path:
    """Write frames of the data's training split as pictures, once, and return their folder."""
    folder = request.folder / "calibration"
    if folder.is_dir():
        return folder
    source = open_source(request.truth.data, request.truth.root)
    if CALIBRATED_ON not in source.splits:
        raise DataError(f"int8 is calibrated on the split '{CALIBRATED_ON}', which {request.truth.data} does not have")
    dataset = source.open(CALIBRATED_ON)
    folder.mkdir(parents=True)
    count = min(request.calibration_frames, len(dataset))
    for number, index in enumerate(np.linspace(0, len(dataset) - 1, count, dtype=int)):
        write_picture(folder / f"{number:04}.png", dataset[int(index)].frame)
    return folder


def _measured(
    row: BenchmarkRow, path: Path, request: BenchmarkRequest, announce: Announce, expected: Sequence[Labels] = ()
) -> BenchmarkRow:
    """Add to a row what running its artifact gives."""
    size = sum((path / name).stat().st_size for name in Manifest.load(path).files if not name.startswith("golden/"))
    row = dataclasses.replace(row, file_bytes=size)
    try:
        announce(f"{path.name}: evaluating")
        miou, labels, problem = _accuracy(open_predictor(path, target=request.target), request.truth)
        row = dataclasses.replace(row, miou=miou, problem=problem)
        if expected:
            row = dataclasses.replace(row, agreement=_agreement(labels, expected))
        announce(f"{path.name}: measuring")
        return dataclasses.replace(row, report=profile(path, target=request.target, plan=request.options))
    except SegfastError as error:
        return dataclasses.replace(row, problem=str(error))


def _accuracy(predictor: Predictor, truth: GroundTruth) -> tuple[float | None, list[Labels], str]:
    """Return mIoU, the first labels, and why there is no mIoU: the data may have other classes than the network."""
    kept: list[Labels] = []

    def label(frames: Iterable[NamedFrame]) -> Generator[Labels, None, None]:
        with predictor.labels(frames) as found:
            for labels in found:
                if len(kept) < REMEMBERED:
                    kept.append(labels)
                yield labels

    try:
        miou = evaluate(dataclasses.replace(predictor, _label=label), truth, lambda *_: None).matrix.miou
    except SegfastError as error:  # if it is not about the data but the network cannot be run, this fails too:
        with predictor.labels(_frames(truth)) as found:
            return None, list(found), str(error)
    return (None if math.isnan(miou) else miou), kept, ""


def _frames(truth: GroundTruth) -> Iterator[NamedFrame]:
    dataset = open_source(truth.data, truth.root).open(truth.split)
    for index in range(min(REMEMBERED, len(dataset))):
        sample = dataset[index]
        yield sample.name, sample.frame


def _agreement(found: Sequence[Labels], expected: Sequence[Labels]) -> float:
    return float(np.mean([np.mean(mine == theirs) for mine, theirs in zip(found, expected, strict=True)]))


def all_formats() -> list[str]:
    """Return the formats, those whose every engine is torch last."""
    return sorted(format_names(), key=lambda name: format_named(name).imports_torch)
