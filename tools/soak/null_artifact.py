"""An artifact for the null engine: any labels, but always the same for the same frame."""

from pathlib import Path

import numpy as np

from segfast_edge.contract.classes import ClassSet, distinct_palette
from segfast_edge.contract.formats import format_named, format_names
from segfast_edge.contract.manifest import GOLDEN_FRAME, GOLDEN_LABELS, Manifest, TensorSpec
from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.contract.shared.images import write_picture

CLASSES = ("road", "car", "sky", "tree", "person")


def write_null_artifact(folder: Path, size: tuple[int, int] = (224, 224)) -> Path:
    """Write one that expects frames of ``size``, with its golden frame."""
    name = format_names()[0]
    (folder / "golden").mkdir(parents=True)
    (folder / format_named(name).model_file).write_bytes(b"the null engine reads no model")
    frame = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    write_picture(folder / GOLDEN_FRAME, frame)
    # what targets/engines/null.py computes
    write_picture(folder / GOLDEN_LABELS, (frame.sum(axis=2, dtype=np.uint16) % len(CLASSES)).astype(np.uint8))
    image = TensorSpec("image", (1, *size, 3), "uint8", "NHWC")
    labels = TensorSpec("labels", (1, *size), "uint8", "NHW")
    classes = ClassSet(CLASSES, distinct_palette(len(CLASSES)))
    Manifest(name, image, labels, "labels", Preprocess(*size), classes).save(folder)
    return folder
