"""Weights in float16, and the mark by which XNNPACK computes in float16 where the processor can.

The layers read the weights through DEQUANTIZE, so that a runtime or processor without float16 computes in float32.
The mark's name and value are those of TensorFlow's ``tensorflow/lite/tools/versioning/reduced_precision_support.h``.
"""

import numpy as np

from segfast_edge.errors import ConversionError
from segfast_edge.export.tflite_writer.builder import GraphBuilder, Tensor
from segfast_edge.export.tflite_writer.int8.plan import WEIGHTED

MARK = "reduced_precision_support"
_COMPUTES_AND_ADDS_UP_IN_FLOAT16 = b"fp16accfp16"
_DEQUANTIZE_VERSION = 2  # the first that takes float16


def halve(graph: GraphBuilder) -> None:
    """Store the weights and biases of all layers in float16, and mark the file.

    Raises:
        ConversionError: a weight that float16 cannot hold.
    """
    steps, graph.operators = graph.operators, []
    done: set[int] = set()
    for step in steps:
        for tensor in step.inputs if step.name in WEIGHTED else ():
            values = graph.values(tensor)
            if values is not None and tensor.dtype == np.float32 and tensor.index not in done:
                _restore_from_float16(graph, tensor, values)
                done.add(tensor.index)
        graph.operators.append(step)
    graph.metadata(MARK, _COMPUTES_AND_ADDS_UP_IN_FLOAT16)


def _restore_from_float16(graph: GraphBuilder, tensor: Tensor, values: np.ndarray) -> None:
    with np.errstate(over="ignore"):
        stored = values.astype(np.float16)
    if not np.isfinite(stored).all():
        raise ConversionError(
            f"'{tensor.name}' has a value of {np.abs(values).max():.3g}, and float16 ends at 65504. Leave --half out"
        )
    graph.scope = tensor.name
    constant = graph.constant(stored, "half")
    graph.compute(tensor)
    graph.operator("DEQUANTIZE", [constant], [tensor], version=_DEQUANTIZE_VERSION)
