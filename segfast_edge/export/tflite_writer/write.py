"""A deployable graph as the bytes of a ``.tflite`` file."""

import numpy as np

from segfast_edge.errors import ConversionError
from segfast_edge.export.common.graph import Deployable
from segfast_edge.export.common.metadata import INPUT, KEY
from segfast_edge.export.tflite_writer.builder import Affine, GraphBuilder
from segfast_edge.export.tflite_writer.half import halve
from segfast_edge.export.tflite_writer.input_and_output import centred, labelled, normalised, scale_folded
from segfast_edge.export.tflite_writer.ops import writers
from segfast_edge.export.tflite_writer.torch_trace import trace
from segfast_edge.export.tflite_writer.translate import Translation


def write(deployable: Deployable, metadata: str = "{}", *, half: bool = False) -> bytearray:
    """Return the file: uint8 1 x H x W x 3 in, ``labels`` uint8 1 x H x W or ``logits`` float32 NHWC out.

    ``metadata`` is JSON to store in it. Transposed convolutions are written as the graph's ``lowering`` says. With
    ``half``, weights are float16.

    Raises:
        ConversionError: the network cannot be exported, or an operator cannot be written; both are named.
    """
    preprocess, kind = deployable.preprocess, deployable.output_kind
    graph = GraphBuilder(f"segfast-edge {kind}")
    graph.metadata(KEY, metadata.encode())
    frames = graph.input(INPUT, (1, *preprocess.size, 3), np.uint8, Affine(1.0))
    whole = trace(
        deployable.network, deployable.normalise(deployable.example().permute(0, 3, 1, 2)), deployable.reading
    )
    folded = scale_folded(whole, preprocess)
    graph.scope = "input/normalise"
    incoming = normalised(graph, frames, preprocess) if folded is None else centred(graph, frames, preprocess)
    translation = Translation(graph, folded or whole, deployable.lowering)
    logits = translation.run(writers(), incoming)
    expected = (1, *preprocess.size, len(deployable.classes))
    if logits.shape != expected:
        raise ConversionError(f"the network gives {logits.shape}; expected logits of shape {expected} (NHWC)")
    graph.scope = "output/labels"
    graph.output(kind, labelled(graph, logits) if kind == "labels" else logits)
    if half:
        halve(graph)
    return graph.serialise()
