"""From what a network gives to the mask of a frame: class ids at the frame's own size."""

from typing import Any

import numpy as np
import numpy.typing as npt

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.preprocess import resize_labels
from segfast_edge.contract.shared.images import Labels
from segfast_edge.errors import TargetError

RawOutput = npt.NDArray[Any]  # uint8 labels [1, H, W] or float32 logits [1, H, W, classes]


def labels_of(raw: RawOutput, manifest: Manifest) -> Labels:
    """Return uint8 height x width labels of a raw output.

    Raises:
        TargetError: a label that no class has, which means a broken model or engine.
    """
    labels = raw[0] if manifest.output_kind == "labels" else raw[0].argmax(axis=-1).astype(np.uint8)
    if int(labels.max()) >= len(manifest.classes):
        raise TargetError(f"the model gave label {int(labels.max())}; it has {len(manifest.classes)} classes")
    return np.asarray(labels, np.uint8)


def mask_at(labels: Labels, size: tuple[int, int]) -> Labels:
    """Bring network-sized labels to ``size`` (height, width) of the frame; nearest, so no class is invented."""
    return resize_labels(labels, size)


def class_shares(mask: Labels, classes: ClassSet) -> dict[str, float]:
    """Return each class's share of the mask's pixels, 0 to 1."""
    counts = np.bincount(mask.ravel(), minlength=256)[: len(classes)]
    return {name: float(count) / mask.size for name, count in zip(classes.names, counts, strict=True)}
