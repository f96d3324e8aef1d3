"""TFLite by our own writer: NHWC throughout, float32, float16 or int8; runs in LiteRT and in tflite-runtime 2.14."""

from pathlib import Path

from segfast_edge.contract.manifest import Manifest
from segfast_edge.export.common.converter_errors import writing
from segfast_edge.export.common.exporter import Int8Recipe
from segfast_edge.export.common.graph import Deployable
from segfast_edge.export.common.metadata import embedded_text, named

# A SegFast-like network at 224 x 224 on two cores of an x86-64 server CPU with AVX-512 VNNI, one process per candidate,
# rounds interleaved, median latency: float32 phases 3.2 ms, dense 14.0 ms; int8 phases 2.2 ms, dense 3.8 ms
LOWERINGS = {"float32": "phases", "float16": "phases", "int8": "phases"}


def export(graph: Deployable, manifest: Manifest, folder: Path) -> Manifest:
    """Write ``model.tflite`` with the metadata in a buffer of its own; return the manifest with the tensors' names.

    Raises:
        ConversionError: the network cannot be exported, or uses an operator that the writer has no form for; or it is
            to be in float16 and has a weight beyond its range.
    """
    from segfast_edge.export.tflite_writer.labels import with_labels

    manifest = named(manifest)
    content = _written(graph, manifest, half=manifest.precision == "float16")
    with writing(folder):
        (folder / manifest.model_file).write_bytes(with_labels(content, manifest))
    return manifest


def quantize(graph: Deployable, manifest: Manifest, folder: Path, recipe: Int8Recipe) -> Manifest:
    """Write ``model.tflite`` in int8: weights per channel, activations per tensor, by our own quantizer.

    Raises:
        ConversionError: as ``export``, or the network reaches infinity on the calibration frames.
    """
    from segfast_edge.export.tflite_int8 import calibrate
    from segfast_edge.export.tflite_writer.labels import with_labels

    manifest = named(manifest)
    calibration = calibrate(bytes(_written(graph, manifest)), recipe.frames)
    kept = [layer for layer in calibration.layers if recipe.keeps(f"network.{layer}")]
    content = calibration.int8(kept)
    with writing(folder):
        (folder / manifest.model_file).write_bytes(with_labels(content, manifest))
    return manifest


def _written(graph: Deployable, manifest: Manifest, *, half: bool = False) -> bytearray:
    from segfast_edge.export.tflite_writer.labels import NAME, described
    from segfast_edge.export.tflite_writer.write import write

    return write(graph, embedded_text(manifest), {NAME: described(manifest)}, half=half)
