"""A SegFast network of random weights as an int8 TFLite artifact: what a board runs, and small enough to emulate."""

import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import tiny_artifacts as tiny
import tiny_export
from ai_edge_quantizer import Quantizer, qtyping, recipe

from segfast_edge.contract.manifest import Manifest
from segfast_edge.export.common.prepared import PreparedNetwork
from segfast_edge.export.common.request import ExportRequest
from segfast_edge.export.convert import convert

SIZE = 64


def frames(count: int, first_seed: int = 100) -> list[np.ndarray]:
    """Return frames of the network's size."""
    return [tiny.frame(SIZE, SIZE, first_seed + seed) for seed in range(count)]


def write_artifact(folder: Path) -> Path:
    """Write ``folder``/segfast: integer layers between a uint8 frame and float32 logits."""
    checkpoint = tiny_export.write_checkpoint(folder / "tiny.pt", "segfast", size=(SIZE, SIZE))
    manifest = convert(PreparedNetwork(checkpoint), ExportRequest("tflite", folder / "float", output_kind="logits"))
    source, artifact = folder / "float", folder / "segfast"
    quantizer = Quantizer(str(source / manifest.model_file), recipe.static_wi8_ai8())
    quantizer.update_quantization_recipe(
        regex=".*", operation_name=qtyping.TFLOperationName.OUTPUT, algorithm_key="no_quantize"
    )
    calibration = {"serving_default": [{manifest.input.name: frame[np.newaxis]} for frame in frames(8, 0)]}
    shutil.copytree(source, artifact, ignore=shutil.ignore_patterns("model.*", "manifest.json"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the calibrator keeps every tensor, and its runtime warns of what it asked for
        quantizer.quantize(quantizer.calibrate(calibration)).export_model(str(artifact / manifest.model_file))
    replace(Manifest.load(source), precision="int8").save(artifact)
    return artifact
