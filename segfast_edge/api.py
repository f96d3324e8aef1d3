"""The library: what ``import segfast_edge as sf`` offers. Each function does what the verb of its name does.

A model is named as on the command line: shipped weights, a checkpoint, an artifact folder or a factory.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.profile_options import ProfileOptions
from segfast_edge.contract.report import Report
from segfast_edge.errors import SegfastError, unknown
from segfast_edge.prediction.evaluate import Evaluation, GroundTruth
from segfast_edge.prediction.evaluate import evaluate as evaluate_predictor
from segfast_edge.prediction.model import AnyPath, Model, Result
from segfast_edge.prediction.predictor import open_predictor
from segfast_edge.profiling.local import profile as profile_artifact
from segfast_edge.weights import DEFAULT, find

if TYPE_CHECKING:
    from segfast_edge.benchmarking import BenchmarkRow
    from segfast_edge.training.train import Outcome

__all__ = [
    "Artifact",
    "Model",
    "Result",
    "SegfastError",
    "benchmark",
    "bundle",
    "convert",
    "evaluate",
    "load",
    "profile",
    "train",
]


@dataclass(frozen=True, slots=True)
class Artifact:
    """A converted network: its folder, and what its manifest says."""

    path: Path
    manifest: Manifest = field(repr=False)

    def load(self, *, target: str = "x86") -> Model:
        """Open it with the runtime that fits."""
        return Model(self.path, open_predictor(self.path, target=target))


def load(
    model: AnyPath = DEFAULT, *, device: str = "auto", classes: int | None = None, size: tuple[int, int] = (224, 224)
) -> Model:
    """Open shipped weights, a checkpoint, an artifact folder, or ``package.module:factory``.

    A factory also needs ``classes``, the number that it is called with, and ``size``, the input's height and width.

    Raises:
        ArtifactError: nothing is there, or it is damaged.
    """
    if ":" not in str(model) or Path(model).exists():
        path = find(Path(model))
        return Model(path, open_predictor(path, device=device))
    if classes is None:
        raise SegfastError(f"load('{model}') needs classes=N, the number that the factory is called with")
    from segfast_edge.contract.classes import numbered
    from segfast_edge.contract.preprocess import Preprocess
    from segfast_edge.model import build
    from segfast_edge.model.checkpoint import as_built

    with TemporaryDirectory(prefix="segfast-model-") as folder:
        path = Path(folder) / "model.pt"
        as_built(build(str(model), classes), str(model), numbered(classes), Preprocess(*size)).save(path)
        return Model(Path(model), open_predictor(path, device=device))


def train(output_dir: AnyPath, *, resume: bool = False, overwrite: bool = False, **options: Any) -> "Outcome":
    """Train, and return how it ended; ``output_dir`` then holds ``best.pt``.

    ``options`` are those of ``segfast-edge train``, with underscores: model, data, data_root, protocol, size (height,
    width), seed, recipe (a name), epochs, lr, and so on.

    Raises:
        SegfastError: an option that does not exist, or a value that is not allowed.
    """
    from segfast_edge.training.recipe import Recipe, recipe
    from segfast_edge.training.run_folder import RunFolder
    from segfast_edge.training.settings import TrainingSettings
    from segfast_edge.training.train import Silent, Start
    from segfast_edge.training.train import train as run

    settings_fields = {each.name for each in fields(TrainingSettings)} - {"recipe"}
    recipe_fields = {each.name for each in fields(Recipe)} - {"name"}
    for name in options:
        if name not in settings_fields | recipe_fields | {"recipe"}:
            raise SegfastError(unknown("option", name, settings_fields | recipe_fields | {"recipe"}))
    chosen = recipe(options.pop("recipe", "paper")).changed({n: options.pop(n) for n in recipe_fields & {*options}})
    for name in ("data_root", "start", "teacher"):
        if options.get(name) is not None:
            options[name] = Path(options[name]) if name == "data_root" else find(Path(options[name]))
    settings = TrainingSettings(**options, recipe=chosen)
    return run(settings, RunFolder(Path(output_dir)), Silent(), start=Start(resume, overwrite))


def evaluate(
    model: Model | AnyPath,
    data: str = "scenes",
    *,
    root: AnyPath | None = None,
    split: str = "val",
    protocol: str = "",
) -> Evaluation:
    """Measure mIoU and everything beside it on a labelled split; an empty ``protocol`` is the model's own."""
    truth = GroundTruth(data, None if root is None else Path(root), split, protocol or None)
    return evaluate_predictor(_opened(model).predictor, truth, lambda *_: None)


def convert(
    model: AnyPath, target: str, folder: AnyPath, *, calibration: AnyPath | None = None, overwrite: bool = False
) -> Artifact:
    """Write an artifact in the format ``target`` and hold it to torch; int8 if ``calibration`` is a folder of pictures.

    Raises:
        ConversionError: the network cannot be written in this format, or does not compute what torch computes.
    """
    from segfast_edge.data.calibration import Calibration
    from segfast_edge.export.common.prepared import PreparedNetwork
    from segfast_edge.export.common.quantization import Quantization
    from segfast_edge.export.common.request import ExportRequest
    from segfast_edge.export.convert import convert as write

    asked = None if calibration is None else Quantization(Calibration.open(Path(calibration), None), None)
    request = ExportRequest(
        target, Path(folder), overwrite=overwrite, quantization=asked, command="segfast_edge.convert"
    )
    return Artifact(Path(folder), write(PreparedNetwork(find(Path(model))), request))


def profile(artifact: Artifact | AnyPath, *, target: str = "x86", **options: Any) -> Report:
    """Measure an artifact on this computer in a fresh process; ``options`` are those of ``segfast-edge profile``."""
    known = [each.name for each in fields(ProfileOptions)]
    for name in options:
        if name not in known:
            raise SegfastError(unknown("option", name, known))
    path = artifact.path if isinstance(artifact, Artifact) else Path(artifact)
    return profile_artifact(path, target=target, plan=ProfileOptions(**options))


def benchmark(
    models: AnyPath | Sequence[AnyPath], data: str = "scenes:train=32,val=16", *, root: AnyPath | None = None,
    formats: Sequence[str] = (), **options: Any,
) -> "list[BenchmarkRow]":  # fmt: skip
    """Measure checkpoints in every format and precision, and artifacts as they are; ``options`` as for ``profile``."""
    from segfast_edge.benchmarking import BenchmarkRequest, all_formats
    from segfast_edge.benchmarking import benchmark as measure

    given = [models] if isinstance(models, str | Path) else list(models)
    truth = GroundTruth(data, None if root is None else Path(root))
    with TemporaryDirectory(prefix="segfast-benchmark-") as folder:
        request = BenchmarkRequest(
            [find(Path(each)) for each in given], truth, Path(folder), formats or all_formats(),
            options=ProfileOptions(**options),
        )  # fmt: skip
        return list(measure(request, lambda _: None))


def bundle(artifact: Artifact | AnyPath, target: str, output: AnyPath, *, key: AnyPath | None = None) -> Path:
    """Pack an artifact and the runner into one file for a car, signed with ``key`` or unsigned."""
    from segfast_edge.deployment.bundle import BundleRequest, build

    path = artifact.path if isinstance(artifact, Artifact) else Path(artifact)
    build(BundleRequest(path, target, Path(output)), None if key is None else Path(key))
    return Path(output)


def _opened(model: Model | AnyPath) -> Model:
    return model if isinstance(model, Model) else load(model)
