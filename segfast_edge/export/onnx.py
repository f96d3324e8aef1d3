"""ONNX, opset 18: for ONNX Runtime, for OpenVINO, and for TensorRT to build its engine from on the device."""

import contextlib
import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from segfast_edge.contract.manifest import Manifest
from segfast_edge.errors import ConversionError
from segfast_edge.export.common.failure import explained, writing
from segfast_edge.export.common.graph import Deployable
from segfast_edge.export.common.metadata import KEY, embedded_text

EXTRA = "onnx"
TOOLS = ("onnx", "onnxscript", "torch")
OPSET = 18
INPUT = "frames"


def export(graph: Deployable, manifest: Manifest, folder: Path) -> Manifest:
    """Write ``model.onnx``; return the manifest with the tensors' names.

    Raises:
        ConversionError: the exporter knows no form of one of the network's operators.
    """
    import onnx

    manifest = replace(
        manifest,
        input=replace(manifest.input, name=INPUT),
        output=replace(manifest.output, name=manifest.output_kind),
    )
    model = converted(graph)
    describe(model, manifest)
    with writing(folder):
        onnx.save(model, folder / manifest.model_file)
    return manifest


def converted(graph: Deployable) -> Any:
    """Return the checked ``onnx.ModelProto`` of a graph."""
    import onnx

    advice = "Try --target torchscript or openvino"
    lowered = graph.lowered(unpooling=False)
    with explained("torch cannot export this network to ONNX", advice), _quiet(), torch.no_grad():
        program = torch.onnx.export(
            lowered,
            (graph.example(),),
            dynamo=True,
            verbose=False,
            opset_version=OPSET,
            input_names=[INPUT],
            output_names=[graph.output_kind],
        )
    assert program is not None, "dynamo=True returns the program"
    model = program.model_proto
    _forget_source(model)
    _cast_for_tensorrt(model)
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ConversionError(f"the exported ONNX model is not valid: {str(error).partition(chr(10))[0]}") from error
    return model


def describe(model: Any, manifest: Manifest) -> None:
    """Write the metadata into ``metadata_props``."""
    from segfast_edge import __version__

    model.producer_name, model.producer_version = "segfast-edge", __version__
    properties = {
        "model_type": "Segmentation",
        "labels": "\n".join(manifest.classes.names),
        KEY: embedded_text(manifest),
    }
    for key, value in properties.items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value


def _forget_source(model: Any) -> None:
    """Drop the source lines, with this machine's paths, that the exporter leaves at every node."""
    for holder in (model, model.graph, *model.graph.node, *model.graph.initializer, *model.graph.value_info):
        del holder.metadata_props[:]
        holder.doc_string = ""


def _cast_for_tensorrt(model: Any) -> None:
    """Give uint8 labels by way of float32: TensorRT casts to uint8 from floating point only. Labels are exact in it."""
    import onnx

    for place, node in enumerate(model.graph.node):
        target = next((each.i for each in node.attribute if each.name == "to"), None)
        if node.op_type == "Cast" and target == onnx.TensorProto.UINT8:
            wide = f"{node.input[0]}_float32"
            to_float = onnx.helper.make_node("Cast", [node.input[0]], [wide], to=onnx.TensorProto.FLOAT)
            node.input[0] = wide
            model.graph.node.insert(place, to_float)
            return


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter's remarks about packages that are not needed here."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)
