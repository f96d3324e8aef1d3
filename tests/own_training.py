"""What a user may bring to a training, as ``own_training:dataset`` and so on; the examples of docs/training.md."""

import json

import numpy as np
from torch.nn import functional as F

from segfast_edge.contract.classes import ClassSet, distinct_palette
from segfast_edge.contract.shared.images import read_labels
from segfast_edge.data.pairs import LabelMap, PairedSource, files_in, match
from segfast_edge.data.sample import Sample

CLASSES = ClassSet(("ground", "thing"), distinct_palette(2))


def dataset(root):
    """Pictures ``a.jpg`` with masks ``a_mask.png`` beside them, in a folder for each split."""

    def listing(split):
        masks = [(name.removesuffix("_mask"), path) for name, path in files_in(root / split, [".png"])]
        return lambda: match(files_in(root / split, [".jpg"]), masks)

    labels = LabelMap({0: 0, 255: 1}, read_labels)
    return PairedSource("own", CLASSES, (32, 48), {split: listing(split) for split in ("train", "val")}, labels)


class Halves:
    """A dataset without files: the right half of each picture is bright."""

    classes, size, splits, name = CLASSES, (32, 48), ("train", "val"), "halves"

    def __init__(self, _root, split="train"):
        self.split = split

    def open(self, split):
        return Halves(None, split)

    def __len__(self):
        return 4 if self.split == "train" else 2

    def __getitem__(self, index):
        labels = np.zeros((32, 48), np.uint8)
        labels[:, 24:] = 1
        return Sample(f"{self.split}{index}", (labels[..., None] * 150 + [10, index, 20]).astype(np.uint8), labels)


def smooth_loss(logits, targets):
    """Cross-entropy with smoothed labels, the mean over each frame."""
    pixels = F.cross_entropy(logits, targets, ignore_index=-100, reduction="none", label_smoothing=0.1)
    return pixels.mean((1, 2))


def no_logger(*_):
    return 1


def scalar_loss(logits, targets):
    return logits.mean()


def halves_schedule(progress):
    """The whole rate in the first half, a tenth in the second."""
    return 1.0 if progress < 0.5 else 0.1


class JsonLogger:
    """Writes the mIoU of each epoch into own.json."""

    def __init__(self, folder, config, epoch):
        self.path, self.lines = folder / "own.json", [config["model"], epoch]

    def write(self, record):
        self.lines.append(record["val"]["miou"])

    def close(self):
        self.path.write_text(json.dumps([*self.lines, "closed"]))
