"""A network that is ready to segment whatever shows a picture, and what it gives."""

import io
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.masks import class_shares, mask_at
from segfast_edge.contract.overlay import VIEWS, colour_mask, overlay, view
from segfast_edge.contract.shared.images import Frame, Labels, upright_rgb, write_picture
from segfast_edge.errors import DataError
from segfast_edge.prediction.inputs import PredictionInput, list_inputs
from segfast_edge.prediction.predictor import Predictor
from segfast_edge.prediction.video import VideoFile

AnyPath = str | Path


@dataclass(frozen=True, slots=True)
class Result:
    """The result for one picture: ``labels`` are uint8 height x width class ids, as large as ``frame``.

    ``source`` says where the picture came from. In a notebook, a result shows its overlay.
    """

    source: str
    frame: Frame
    labels: Labels
    classes: ClassSet

    @property
    def shares(self) -> dict[str, float]:
        """Each class's share of the pixels, 0 to 1."""
        return class_shares(self.labels, self.classes)

    def colour(self) -> Frame:
        """Return the labels in their classes' colours, uint8 height x width x 3."""
        return colour_mask(self.labels, self.classes)

    def overlay(self, opacity: float = 0.5) -> Frame:
        """Return the colours over the picture."""
        return overlay(self.frame, self.labels, self.classes, opacity)

    def save(self, folder: AnyPath, name: str = "") -> dict[str, Path]:
        """Write mask, colour and overlay as PNGs into ``folder`` and return their paths by kind.

        Files are named ``NAME.mask.png`` and so on, after the source unless ``name`` is given; existing ones are
        replaced.
        """
        place = Path(folder)
        place.mkdir(parents=True, exist_ok=True)
        written = {kind: place / f"{name or Path(self.source).stem}.{kind}.png" for kind in VIEWS}
        for kind, path in written.items():
            write_picture(path, view(kind, self.frame, self.labels, self.classes))
        return written

    def to_dict(self) -> dict[str, Any]:
        """Return plain values: source, size and class shares."""
        high, wide = self.labels.shape
        return {"source": self.source, "height": high, "width": wide, "shares": self.shares}

    def _repr_png_(self) -> bytes:
        stream = io.BytesIO()
        Image.fromarray(self.overlay()).save(stream, "PNG")
        return stream.getvalue()


@dataclass(frozen=True, slots=True)
class Model:
    """A network that is ready to segment: a checkpoint in torch, or an artifact in its runtime."""

    path: Path
    predictor: Predictor

    @property
    def classes(self) -> ClassSet:
        """Names and colours of the classes."""
        return self.predictor.classes

    def predict(self, source: Any, *, stream: bool = False) -> Any:
        """Segment pictures or videos.

        ``source`` is a path, glob pattern or folder; an RGB or grey array, uint8 height x width [x 3]; a Pillow
        picture; a torch tensor 3 x height x width, uint8 or 0 to 1; or a sequence of these. One picture gives a
        result, anything else a list, or with ``stream`` an iterator that holds one frame at a time.

        Raises:
            DataError: there is nothing at a path, or it cannot be read.
        """
        found = self._results(_frames(source))
        if stream:
            return found
        results = list(found)
        return results[0] if len(results) == 1 and _is_single(source) else results

    def _results(self, frames: Iterator[tuple[str, Frame]]) -> Iterator[Result]:
        waiting: list[tuple[str, Frame]] = []

        def handed_on() -> Iterator[tuple[str, Frame]]:
            for each in frames:
                waiting.append(each)
                yield each

        with self.predictor.labels(handed_on()) as found:
            for labels in found:
                name, frame = waiting.pop(0)
                yield Result(name, frame, mask_at(labels, (frame.shape[0], frame.shape[1])), self.classes)


def _is_single(source: Any) -> bool:
    """Say whether one picture was given, so that one result is the answer."""
    if isinstance(source, str | Path):
        return Path(source).is_file() and not PredictionInput(Path(source)).is_video
    return not isinstance(source, Sequence)


def _frames(source: Any) -> Iterator[tuple[str, Frame]]:
    if isinstance(source, str | Path):
        for each in list_inputs([str(source)]):
            if each.is_video:
                with closing(VideoFile(each.path)) as video:
                    yield from ((str(each.path), frame) for frame in video.frames())
            else:
                yield str(each.path), each.frame()
    elif isinstance(source, Sequence):
        for each in source:
            yield from _frames(each)
    else:
        yield "picture", _pixels(source)


def _pixels(given: Any) -> Frame:
    """Return an array, a Pillow picture or a torch tensor as uint8 height x width x 3, RGB."""
    if isinstance(given, Image.Image):
        return np.array(upright_rgb(given.copy(), "picture", convert=True))
    if hasattr(given, "detach"):  # a tensor, known without importing torch
        array = np.moveaxis(np.asarray(given.detach().cpu()), 0, -1) if given.ndim == 3 else np.asarray(given.cpu())
        given = (array * 255).round().clip(0, 255).astype(np.uint8) if array.dtype.kind == "f" else array
    if not isinstance(given, np.ndarray):
        raise DataError(
            f"cannot predict on a value of type {type(given).__name__}; give a path, an array, a picture or a tensor"
        )
    if given.ndim == 2:
        given = np.repeat(given[:, :, np.newaxis], 3, 2)
    if given.dtype != np.uint8 or given.ndim != 3 or given.shape[2] not in (3, 4):
        raise DataError(f"array is {given.dtype} {given.shape}; expected uint8 height x width [x 3]")
    return np.ascontiguousarray(given[:, :, :3])
