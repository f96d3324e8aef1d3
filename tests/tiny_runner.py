"""Artifacts and frames for the runner's tests: the null engine's labels can be worked out by hand."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

import tiny_artifacts as tiny
from segfast_edge.contract.images import write_picture
from segfast_edge.contract.manifest import GOLDEN_FRAME, GOLDEN_LABELS, MODEL_FILES
from targets.common.session import Options
from targets.common.target import target
from targets.runner.model import Model, ModelChoice, open_model


def null_labels(frame: np.ndarray) -> np.ndarray:
    """Return what the null engine answers for a frame of the network's size."""
    return (frame.sum(axis=2, dtype=np.uint16) % tiny.CLASSES).astype(np.uint8)


def proven_artifact(folder: Path, *, wrong: bool = False) -> Path:
    """Write an artifact for the null engine with its golden frame; ``wrong`` labels are those of another model."""
    (folder / "golden").mkdir(parents=True)
    (folder / MODEL_FILES["tflite"]).write_bytes(b"nothing reads this")
    golden = tiny.frame(tiny.HEIGHT, tiny.WIDTH)
    labels = null_labels(golden)
    write_picture(folder / GOLDEN_FRAME, golden)
    write_picture(folder / GOLDEN_LABELS, (labels + 1) % tiny.CLASSES if wrong else labels)
    tiny.manifest("tflite").save(folder)
    return folder


def null_model(folder: Path) -> Model:
    """Return an open model of the null engine."""
    return open_model(ModelChoice(target("null"), proven_artifact(folder), Options()))


def jpeg(frame: np.ndarray, quality: int = 90) -> bytes:
    """Return a frame as JPEG."""
    stream = io.BytesIO()
    Image.fromarray(frame).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def pictures(folder: Path, count: int = 6) -> Path:
    """Write ``count`` PNG frames."""
    folder.mkdir(parents=True)
    for index in range(count):
        write_picture(folder / f"{index:03d}.png", tiny.frame(40, 60, seed=index))
    return folder
