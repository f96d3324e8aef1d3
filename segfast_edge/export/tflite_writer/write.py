"""A deployable graph as the bytes of a ``.tflite`` file."""

from collections.abc import Mapping

from segfast_edge.errors import ConversionError
from segfast_edge.export.common.graph import Deployable
from segfast_edge.export.common.metadata import KEY
from segfast_edge.export.tflite_writer import weightless
from segfast_edge.export.tflite_writer.builder import GraphBuilder
from segfast_edge.export.tflite_writer.half import halve
from segfast_edge.export.tflite_writer.input_and_output import (
    centred,
    labelled,
    normalised,
    pixels,
    scale_folded,
)
from segfast_edge.export.tflite_writer.ops import writers
from segfast_edge.export.tflite_writer.torch_trace import trace
from segfast_edge.export.tflite_writer.translate import Translation


def write(
    deployable: Deployable, metadata: str = "{}", more: Mapping[str, bytes] | None = None, *, half: bool = False
) -> bytearray:
    """Return the file: uint8 1 x H x W x 3 in, ``labels`` uint8 1 x H x W or ``logits`` float32 NHWC out.

    ``metadata`` is JSON to store in it, and ``more`` is stored under its names. Transposed convolutions are
    written as the graph's ``lowering`` says, and both ends as ``ends`` says. With ``half``, weights are float16.

    Raises:
        ConversionError: the network cannot be exported, or an operator cannot be written; both are named.
    """
    preprocess, kind = deployable.preprocess, deployable.output_kind
    graph = GraphBuilder(f"segfast-edge {kind}")
    for name, content in {KEY: metadata.encode(), **(more or {})}.items():
        graph.metadata(name, content)
    whole = trace(
        deployable.network, deployable.normalise(deployable.example().permute(0, 3, 1, 2)), deployable.reading
    )
    folded = scale_folded(whole, preprocess)
    graph.scope = "input/normalise"
    frame = pixels(graph, preprocess, deployable.ends)
    incoming = normalised(graph, frame, preprocess) if folded is None else centred(graph, frame, preprocess)
    translation = Translation(graph, folded or whole, deployable.lowering)
    logits = translation.run(writers(), incoming)
    expected = (1, *preprocess.size, len(deployable.classes))
    if logits.shape != expected:
        raise ConversionError(f"the network gives {logits.shape}; expected logits of shape {expected} (NHWC)")
    graph.scope = "output/labels"
    if deployable.ends.output_layout == "NCHW":
        logits = weightless.transpose(graph, logits, (0, 3, 1, 2))
    graph.output(kind, labelled(graph, logits) if kind == "labels" else logits)
    if half:
        halve(graph)
    return graph.serialise()
