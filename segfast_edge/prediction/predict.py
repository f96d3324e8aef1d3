"""Masks, coloured masks and overlays of pictures, at the pictures' own size."""

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segfast_edge.contract.masks import class_shares, mask_at
from segfast_edge.contract.overlay import VIEWS, view
from segfast_edge.contract.shared.images import Frame, list_pictures, read_frame, write_picture
from segfast_edge.errors import ArtifactError, DataError
from segfast_edge.prediction.predictor import NamedFrame, Predictor
from segfast_edge.progress import Progress


@dataclass(frozen=True, slots=True)
class PlannedPicture:
    """One picture, and the name its outputs begin with."""

    picture: Path
    name: str

    def outputs(self, out: Path) -> dict[str, Path]:
        """Return the files written for it, by kind."""
        return {kind: out / f"{self.name}.{kind}.png" for kind in VIEWS}


@dataclass(frozen=True, slots=True)
class Prediction:
    """What was written for one picture, and each class's share of its pixels."""

    picture: Path
    files: Mapping[str, Path]
    shares: Mapping[str, float]

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        files = {kind: str(path) for kind, path in self.files.items()}
        return {"picture": str(self.picture), "files": files, "shares": dict(self.shares)}


@dataclass(frozen=True, slots=True)
class Style:
    """How pictures are read and painted; ``convert`` allows greyscale, alpha and 16-bit files."""

    convert: bool = False
    opacity: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.opacity <= 1:
            raise DataError(f"--opacity {self.opacity} is outside 0 to 1")


def plan(inputs: Sequence[Path], style: Style, progress: Progress) -> list[PlannedPicture]:
    """List the pictures of files and folders, and check each, before anything is written.

    Pictures whose stems are the same get longer names: with the suffix, then with the folder.

    Raises:
        DataError: an input is missing or not readable as it is.
    """
    pictures: dict[Path, Path] = {}
    for given in inputs:
        for picture in list_pictures(given) if given.is_dir() else [given]:
            pictures.setdefault(picture.resolve(), picture)
    jobs = [
        PlannedPicture(picture, name) for picture, name in zip(pictures.values(), _names(list(pictures)), strict=True)
    ]
    for number, job in enumerate(jobs, 1):
        read_frame(job.picture, convert=style.convert)
        progress(number, len(jobs))
    return jobs


def free_folder(out: Path, jobs: Sequence[PlannedPicture]) -> Path:
    """Return ``out``, or the first of ``out2``, ``out3`` and so on in which no output of ``jobs`` exists yet.

    Raises:
        ArtifactError: ``out`` is a file.
    """
    if out.exists() and not out.is_dir():
        raise ArtifactError(f"{out} is a file; --out needs a folder")
    numbered = (out if number == 1 else out.with_name(f"{out.name}{number}") for number in itertools.count(1))
    return next(folder for folder in numbered if _free(folder, jobs))


def _free(folder: Path, jobs: Sequence[PlannedPicture]) -> bool:
    if not folder.is_dir():
        return not folder.exists()
    return not any(path.exists() for job in jobs for path in job.outputs(folder).values())


def _names(pictures: Sequence[Path]) -> list[str]:
    """Return a different name for every picture, the stem where that is enough."""
    names = [picture.stem for picture in pictures]
    depth = 0
    while repeated := {name for name, count in Counter(names).items() if count > 1}:
        names = [
            "_".join((*picture.parts[len(picture.parts) - 1 - depth : -1], picture.name)).replace("/", "")
            if name in repeated
            else name
            for name, picture in zip(names, pictures, strict=True)
        ]
        depth += 1
    return names


def predict(predictor: Predictor, jobs: Sequence[PlannedPicture], out: Path, *, style: Style) -> Iterator[Prediction]:
    """Segment each picture and write its three files at its own size, whole or not at all; yield it when done.

    Raises:
        DataError: a picture has gone, or ``out`` is not writable.
    """
    waiting: list[Frame] = []

    def frames() -> Iterator[NamedFrame]:
        for job in jobs:
            waiting.append(read_frame(job.picture, convert=style.convert))
            yield job.name, waiting[-1]

    with predictor.labels(frames()) as found:
        for job, labels in zip(jobs, found, strict=True):
            frame = waiting.pop(0)
            mask = mask_at(labels, frame.shape[:2])
            _make(out)
            files = job.outputs(out)
            for kind, path in files.items():
                write_picture(path, view(kind, frame, mask, predictor.classes, opacity=style.opacity))
            yield Prediction(job.picture, files, class_shares(mask, predictor.classes))


def _make(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"cannot write {out}: {error.strerror or error}") from error
