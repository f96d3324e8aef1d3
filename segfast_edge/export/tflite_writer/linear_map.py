"""Any resampling that works on rows and columns separately, as two products with fixed matrices."""

from collections.abc import Callable

import numpy as np
import torch

from segfast_edge.export.tflite_writer import schema
from segfast_edge.export.tflite_writer.builder import GraphBuilder, Tensor
from segfast_edge.export.tflite_writer.weighted import Array
from segfast_edge.export.tflite_writer.weightless import reshape


def probe(resample: Callable[[torch.Tensor], torch.Tensor], extent: int) -> Array:
    """Return the matrix, outputs x ``extent``, of a linear map, by giving it every unit vector.

    ``resample`` takes 1 x channels x extent x 1 and gives 1 x channels x outputs x 1.
    """
    answers = resample(torch.eye(extent)[None, :, :, None])
    return np.ascontiguousarray(answers[0, :, :, 0].numpy().T)


def apply_separable(graph: GraphBuilder, x: Tensor, rows: Array, columns: Array) -> Tensor:
    """Multiply every column of a map by ``rows`` and every row by ``columns``."""
    batch, height, width, channels = x.shape
    out_height, out_width = rows.shape[0], columns.shape[0]
    narrow = _multiply(graph, columns, reshape(graph, x, (batch * height, width, channels)))
    flat = reshape(graph, narrow, (batch, height, out_width * channels))
    return reshape(graph, _multiply(graph, rows, flat), (batch, out_height, out_width, channels))


def _multiply(graph: GraphBuilder, matrix: Array, x: Tensor) -> Tensor:
    result = graph.tensor((x.shape[0], matrix.shape[0], x.shape[2]))
    left = graph.constant(matrix[None], "matrix")
    graph.operator("BATCH_MATMUL", [left, x], [result], schema.options("BatchMatMul", adjX=False, adjY=False))
    return result
