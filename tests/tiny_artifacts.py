"""Real artifacts of the tiny network, each in a format of ``examples/formats``, built with the runtimes' own tools."""

import importlib
import warnings
from pathlib import Path

import numpy as np
from tiny_network import BIAS, CLASSES, HEIGHT, WEIGHTS, WIDTH, expected

from segfast_edge.contract.classes import ClassSet, distinct_palette
from segfast_edge.contract.formats import format_named, format_names
from segfast_edge.contract.manifest import GOLDEN_FRAME, GOLDEN_LABELS, Manifest, TensorSpec
from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.contract.shared.images import write_picture

FORMATS = tuple(format_names())

__all__ = ["BIAS", "CLASSES", "FORMATS", "HEIGHT", "WEIGHTS", "WIDTH", "expected"]


def manifest(name: str, *, output_kind: str = "labels") -> Manifest:
    """Return the manifest of the network in the format ``name``."""
    shape = (1, HEIGHT, WIDTH)
    outputs = {
        "labels": TensorSpec("labels", shape, "uint8", "NHW"),
        "logits": TensorSpec("logits", (*shape, CLASSES), "float32", "NHWC"),
    }
    classes = ClassSet(("road", "car", "sky", "tree", "person"), distinct_palette(CLASSES))
    image = TensorSpec("image", (*shape, 3), "uint8", "NHWC")
    return Manifest(name, image, outputs[output_kind], output_kind, Preprocess(HEIGHT, WIDTH), classes)


def frame(height: int = 40, width: int = 60, seed: int = 0) -> np.ndarray:
    """Return a smooth RGB frame."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    rows = np.linspace(0, 4, height).round().astype(int)
    columns = np.linspace(0, 4, width).round().astype(int)
    return coarse[rows][:, columns]


def write_artifact(folder: Path, name: str) -> Path:
    """Write the network in the format ``name``, with its golden frame, into ``folder``."""
    (folder / "golden").mkdir(parents=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the converters' own deprecations are not what is tested here
        importlib.import_module(f"examples.formats.{name}").write(folder / format_named(name).model_file)
    golden = frame(HEIGHT, WIDTH)
    write_picture(folder / GOLDEN_FRAME, golden)
    write_picture(folder / GOLDEN_LABELS, expected(golden[np.newaxis])[0])
    manifest(name).save(folder)
    return folder


def write_null_artifact(folder: Path, *, output_kind: str = "labels") -> Path:
    """Write an artifact that only the null engine opens."""
    (folder / "golden").mkdir(parents=True)
    (folder / "model.onnx").write_bytes(b"nothing reads this")
    write_picture(folder / GOLDEN_FRAME, frame(HEIGHT, WIDTH))
    manifest("onnx", output_kind=output_kind).save(folder)
    return folder
