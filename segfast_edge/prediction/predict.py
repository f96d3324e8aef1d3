"""Pictures and videos segmented into files, at their own size."""

import itertools
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from segfast_edge.contract.masks import mask_at
from segfast_edge.contract.shared.images import Frame, Labels
from segfast_edge.errors import ArtifactError, DataError
from segfast_edge.prediction.in_order import in_order
from segfast_edge.prediction.inputs import PredictionInput, distinct_names, list_inputs
from segfast_edge.prediction.predictor import NamedFrame, Predictor
from segfast_edge.prediction.saving import (
    DEFAULT_KINDS,
    VIDEO_KINDS,
    Look,
    Segmentation,
    ending,
    problem_of_video,
    save,
)
from segfast_edge.prediction.video import VideoFile, VideoWriter


@dataclass(frozen=True, slots=True)
class Planned:
    """One picture or video, and the name its outputs begin with."""

    source: PredictionInput
    name: str
    kinds: tuple[str, ...] = DEFAULT_KINDS

    def outputs(self, out: Path) -> dict[str, Path]:
        """Return the files written for it, by kind."""
        if self.source.is_video:
            return {kind: out / f"{self.name}.{kind}.mp4" for kind in VIDEO_KINDS if kind in self.kinds}
        return {kind: out / f"{self.name}{ending(kind)}" for kind in self.kinds}

    def is_done(self, out: Path) -> bool:
        """Say whether everything of it is written already; each file is written whole or not at all."""
        found = self.outputs(out).values()
        return bool(found) and all(path.is_file() for path in found)

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
    done_before: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        if self.problem:
            return {"picture": str(self.picture), "problem": self.problem}
        files = {kind: str(path) for kind, path in self.files.items()}
        if self.done_before:
            return {"picture": str(self.picture), "files": files, "done_before": True}
        return {"picture": str(self.picture), "files": files, "shares": dict(self.shares)}


@dataclass(frozen=True, slots=True)
class PredictionOutput:
    """Where predictions go and how they look.

    ``done`` is called for each frame; with ``resume``, what is written already is skipped.
    """

    folder: Path
    look: Look = field(default_factory=Look)
    done: Callable[[], None] = lambda: None
    resume: bool = False

    def make(self) -> None:
        """Make the folder, when there is something to put into it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"cannot write {self.folder}: {error.strerror or error}") from error


def plan(given: Sequence[str], kinds: tuple[str, ...] = DEFAULT_KINDS) -> list[Planned]:
    """List what files, folders, patterns and standard input stand for, each with a name of its own for its outputs.

    Raises:
        DataError: there is nothing at a name, or nothing that matches a pattern.
    """
    sources = list_inputs(given)
    names = distinct_names([source.path for source in sources])
    return [Planned(source, name, kinds) for source, name in zip(sources, names, strict=True)]


def shard_of(jobs: Sequence[Planned], text: str) -> list[Planned]:
    """Return the part of ``jobs`` that ``I/N`` names: every Nth from the Ith on, so that parts are alike.

    Raises:
        DataError: the text has another form, or the numbers do not fit.
    """
    number, slash, count = text.partition("/")
    if not (slash and number.isdigit() and count.isdigit() and 1 <= int(number) <= int(count)):
        raise DataError(f"--shard {text} is not I/N with I from 1 to N, such as 2/8")
    return list(jobs[int(number) - 1 :: int(count)])


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
    left = []
    for job in jobs:
        if output.resume and job.is_done(output.folder):
            yield Prediction(job.source.path, job.outputs(output.folder), done_before=True)
        else:
            left.append(job)
    yield from _pictures(predictor, [job for job in left if not job.source.is_video], output)
    for job in left:
        if job.source.is_video:
            yield _video(predictor, job, output)


def _read(job: Planned) -> tuple[Planned, Frame | DataError]:
    try:
        return job, job.source.frame()
    except DataError as error:
        return job, error


def _pictures(predictor: Predictor, jobs: Sequence[Planned], output: PredictionOutput) -> Iterator[Prediction]:
    """Segment pictures as one stream: some threads read what comes next and write what is done, beside the network."""
    waiting: deque[tuple[Planned, Frame]] = deque()
    failed: list[Prediction] = []

    def frames() -> Iterator[NamedFrame]:
        with closing(in_order(_read, jobs)) as read:
            for job, frame in read:
                if isinstance(frame, DataError):
                    failed.append(Prediction(job.source.path, problem=str(frame)))
                    output.done()
                    continue
                waiting.append((job, frame))
                yield job.name, frame

    def labelled() -> Generator[tuple[Planned, Frame, Labels], None, None]:
        with predictor.labels(frames()) as found:
            for labels in found:
                yield (*waiting.popleft(), labels)

    def write(one: tuple[Planned, Frame, Labels]) -> Prediction:
        job, frame, labels = one
        mask = mask_at(labels, (frame.shape[0], frame.shape[1]))
        segmented = Segmentation(str(job.source.path), frame, mask, predictor.classes, output.look)
        files = job.outputs(output.folder)
        output.make()
        for kind, path in files.items():
            save(kind, path, segmented)
        return Prediction(job.source.path, files, segmented.shares())

    with closing(labelled()) as stream, closing(in_order(write, stream)) as written:
        for prediction in written:
            output.done()
            yield prediction
    yield from failed


def _video(predictor: Predictor, job: Planned, output: PredictionOutput) -> Prediction:
    """Segment a video into videos; shares are means over its frames."""
    if problem := problem_of_video(job.kinds):
        return Prediction(job.source.path, problem=f"{job.source.path}: {problem}")
    files = job.outputs(output.folder)
    waiting: deque[Frame] = deque()
    shares: list[dict[str, float]] = []
    try:
        with closing(VideoFile(job.source.path)) as video, ExitStack() as stack:
            writers = {kind: stack.enter_context(VideoWriter(path, video.rate)) for kind, path in files.items()}

            def frames() -> Iterator[NamedFrame]:
                for frame in video.frames():
                    waiting.append(frame)
                    yield job.name, frame

            with predictor.labels(frames()) as found:
                for labels in found:
                    frame = waiting.popleft()
                    mask = mask_at(labels, (frame.shape[0], frame.shape[1]))
                    one = Segmentation(str(job.source.path), frame, mask, predictor.classes, output.look)
                    output.make()
                    for kind, writer in writers.items():
                        writer(VIDEO_KINDS[kind](one))
                    shares.append(one.shares())
                    output.done()
    except DataError as error:
        return Prediction(job.source.path, problem=str(error))
    means = {name: float(np.mean([each[name] for each in shares])) for name in shares[0]}
    return Prediction(job.source.path, files, means)
