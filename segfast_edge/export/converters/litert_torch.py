"""TFLite by Google's litert-torch: any operator it knows, at the cost of a gigabyte of packages.

Of SegFast at 224x224 it makes a file that takes 5.4 times as long as ours on one AVX-512 core (a transposed
convolution becomes one step per channel), 1.9 times with ``--lowering subpixel``.
"""

from dataclasses import replace
from pathlib import Path

from segfast_edge.contract.manifest import Manifest
from segfast_edge.export.common.converter_errors import explained, writing
from segfast_edge.export.common.converter_packages import another
from segfast_edge.export.common.graph import Deployable

TOOLS = ("litert-torch", "torch")


def export(graph: Deployable, manifest: Manifest, folder: Path) -> Manifest:
    """Write ``model.tflite``; return the manifest with the tensors' names. The file holds no metadata of ours.

    Raises:
        ConversionError: litert-torch has no form for one of the network's operators.
    """
    import litert_torch

    from segfast_edge.export.tflite_writer.reader import read

    path = folder / manifest.model_file
    with explained("litert-torch cannot convert this network", another(manifest.format)):
        model = litert_torch.convert(graph.lowered(), (graph.example_input(),))
    with writing(folder):
        model.export(str(path))
    written = read(path.read_bytes())
    return replace(
        manifest,
        input=replace(manifest.input, name=written.inputs[0].name),
        output=replace(manifest.output, name=written.outputs[0].name),
    )
