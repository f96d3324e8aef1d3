"""TFLite: float32 weights, NHWC throughout, by our own writer; runs in LiteRT and in tflite-runtime 2.14."""

from dataclasses import replace
from pathlib import Path

from segfast_edge.contract.manifest import Manifest
from segfast_edge.export.common.failure import writing
from segfast_edge.export.common.graph import Deployable
from segfast_edge.export.common.metadata import embedded_text

EXTRA = "litert"
TOOLS = ("ai-edge-litert", "flatbuffers", "torch")


def export(graph: Deployable, manifest: Manifest, folder: Path) -> Manifest:
    """Write ``model.tflite`` with the metadata in a buffer of its own; return the manifest with the tensors' names.

    Raises:
        ConversionError: the network cannot be exported, or uses an operator that the writer has no form for.
    """
    from segfast_edge.export.tflite_writer.write import INPUT, write

    manifest = replace(
        manifest,
        input=replace(manifest.input, name=INPUT),
        output=replace(manifest.output, name=manifest.output_kind),
    )
    content = write(graph, embedded_text(manifest))
    with writing(folder):
        (folder / manifest.model_file).write_bytes(content)
    return manifest
