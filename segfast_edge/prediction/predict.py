"""Masks, coloured masks and overlays of pictures, at the pictures' own size; videos of overlays of videos."""

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from segfast_edge.contract.masks import class_shares, mask_at
from segfast_edge.contract.overlay import VIEWS, overlay, view
from segfast_edge.contract.shared.images import Frame, write_picture
from segfast_edge.errors import ArtifactError, DataError
from segfast_edge.prediction.inputs import PredictionInput, distinct_names, list_inputs
from segfast_edge.prediction.predictor import NamedFrame, Predictor
from segfast_edge.prediction.video import VideoFile, VideoWriter


@dataclass(frozen=True, slots=True)
class Planned:
    """One picture or video, and the name its outputs begin with."""

    source: PredictionInput
    name: str

    def outputs(self, out: Path) -> dict[str, Path]:
        """Return the files written for it, by kind."""
        if self.source.is_video:
            return {"overlay": out / f"{self.name}.overlay.mp4"}
        return {kind: out / f"{self.name}.{kind}.png" for kind in VIEWS}

    def frames(self) -> int:
        """Return how many frames it has according to its header, 1 for a picture and if the header does not say."""
        if not self.source.is_video:
            return 1
        try:
            with closing(VideoFile(self.source.path)) as video:
                return max(1, video.count)
        except DataError:
            return 1  # segmenting it says what is wrong


@dataclass(frozen=True, slots=True)
class Prediction:
    """The files written for one picture or video and each class's share of pixels, or the reason for none."""

    picture: Path
    files: Mapping[str, Path] = field(default_factory=dict)
    shares: Mapping[str, float] = field(default_factory=dict)
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        if self.problem:
            return {"picture": str(self.picture), "problem": self.problem}
        files = {kind: str(path) for kind, path in self.files.items()}
        return {"picture": str(self.picture), "files": files, "shares": dict(self.shares)}


@dataclass(frozen=True, slots=True)
class PredictionOutput:
    """The output folder, the opacity of overlays, and a function to call after every frame."""

    folder: Path
    opacity: float = 0.5
    done: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        if not 0 <= self.opacity <= 1:
            raise DataError(f"--opacity {self.opacity} is outside 0 to 1")

    def make(self) -> None:
        """Make the folder, when there is something to put into it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"cannot write {self.folder}: {error.strerror or error}") from error


def plan(given: Sequence[str]) -> list[Planned]:
    """List what files, folders, patterns and standard input stand for, each with a name of its own for its outputs.

    Raises:
        DataError: there is nothing at a name, or nothing that matches a pattern.
    """
    sources = list_inputs(given)
    names = distinct_names([source.path for source in sources])
    return [Planned(source, name) for source, name in zip(sources, names, strict=True)]


def free_folder(out: Path, jobs: Sequence[Planned]) -> Path:
    """Return ``out``, or the first of ``out2``, ``out3`` and so on in which no output of ``jobs`` exists yet.

    Raises:
        ArtifactError: ``out`` is a file.
    """
    if out.exists() and not out.is_dir():
        raise ArtifactError(f"{out} is a file; --out needs a folder")
    numbered = (out if number == 1 else out.with_name(f"{out.name}{number}") for number in itertools.count(1))
    return next(folder for folder in numbered if _free(folder, jobs))


def _free(folder: Path, jobs: Sequence[Planned]) -> bool:
    if not folder.is_dir():
        return not folder.exists()
    return not any(path.exists() for job in jobs for path in job.outputs(folder).values())


def predict(predictor: Predictor, jobs: Sequence[Planned], output: PredictionOutput) -> Iterator[Prediction]:
    """Segment each picture and video, whole or not at all; one that cannot be read has its problem in its prediction.

    Raises:
        DataError: the folder is not writable.
    """
    yield from _pictures(predictor, [job for job in jobs if not job.source.is_video], output)
    for job in jobs:
        if job.source.is_video:
            yield _video(predictor, job, output)


def _pictures(predictor: Predictor, jobs: Sequence[Planned], output: PredictionOutput) -> Iterator[Prediction]:
    """Segment pictures as one stream, so that the next are read while the network is busy."""
    waiting: deque[tuple[Planned, Frame]] = deque()
    failed: list[Prediction] = []

    def frames() -> Iterator[NamedFrame]:
        for job in jobs:
            try:
                frame = job.source.frame()
            except DataError as error:
                failed.append(Prediction(job.source.path, problem=str(error)))
                output.done()
                continue
            waiting.append((job, frame))
            yield job.name, frame

    with predictor.labels(frames()) as found:
        for labels in found:
            job, frame = waiting.popleft()
            mask = mask_at(labels, frame.shape[:2])
            output.make()
            files = job.outputs(output.folder)
            for kind, path in files.items():
                write_picture(path, view(kind, frame, mask, predictor.classes, opacity=output.opacity))
            output.done()
            yield Prediction(job.source.path, files, class_shares(mask, predictor.classes))
    yield from failed


def _video(predictor: Predictor, job: Planned, output: PredictionOutput) -> Prediction:
    """Segment a video into a video of overlays; shares are means over its frames."""
    files = job.outputs(output.folder)
    waiting: deque[Frame] = deque()
    shares: list[dict[str, float]] = []
    try:
        with closing(VideoFile(job.source.path)) as video, VideoWriter(files["overlay"], video.rate) as write:

            def frames() -> Iterator[NamedFrame]:
                for frame in video.frames():
                    waiting.append(frame)
                    yield job.name, frame

            with predictor.labels(frames()) as found:
                for labels in found:
                    frame = waiting.popleft()
                    mask = mask_at(labels, frame.shape[:2])
                    output.make()
                    write(overlay(frame, mask, predictor.classes, output.opacity))
                    shares.append(class_shares(mask, predictor.classes))
                    output.done()
    except DataError as error:
        return Prediction(job.source.path, problem=str(error))
    means = {name: float(np.mean([each[name] for each in shares])) for name in predictor.classes.names}
    return Prediction(job.source.path, files, means)
