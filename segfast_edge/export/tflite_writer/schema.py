"""The public TFLite flatbuffer schema: its generated classes, element types, and which runtime knows which operator.

The classes come with the ai-edge-litert wheel, which is what runs the file afterwards; nothing of TensorFlow is used.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from segfast_edge.errors import ConversionError

try:
    from ai_edge_litert import schema_py_generated
except ImportError as missing:
    raise ConversionError("LiteRT is missing. Run: pip install 'segfast-edge[litert]'") from missing

generated: Any = schema_py_generated  # made from the schema, without types
FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
ALIGNMENT = 16  # bytes; the schema's force_align on a buffer's data

# The first release of the runtime that knows an operator in a version, as TensorFlow Lite's own versioning table
# gives it. An operator in a version that is not here cannot be written, so every version is a decision.
RELEASES: dict[tuple[str, int], tuple[int, int]] = {
    ("ABS", 1): (1, 13),
    ("ADD", 1): (1, 5),
    ("ADD", 2): (1, 14),
    ("ARG_MAX", 1): (1, 9),
    ("ARG_MAX", 2): (1, 14),
    ("AVERAGE_POOL_2D", 1): (1, 5),
    ("AVERAGE_POOL_2D", 2): (1, 14),
    ("BATCH_MATMUL", 1): (2, 3),
    ("CAST", 1): (1, 5),
    ("CONCATENATION", 1): (1, 5),
    ("CONCATENATION", 2): (1, 14),
    ("CONV_2D", 1): (1, 5),
    ("CONV_2D", 3): (1, 14),
    ("CONV_2D", 6): (2, 9),
    ("DEPTHWISE_CONV_2D", 1): (1, 5),
    ("DEPTHWISE_CONV_2D", 2): (1, 12),
    ("DEPTHWISE_CONV_2D", 3): (1, 14),
    ("DEPTH_TO_SPACE", 1): (2, 1),
    ("DEPTH_TO_SPACE", 2): (2, 5),
    ("DEQUANTIZE", 1): (1, 13),
    ("DEQUANTIZE", 2): (1, 14),
    ("DIV", 1): (1, 6),
    ("ELU", 1): (1, 14),
    ("EXP", 1): (1, 7),
    ("FULLY_CONNECTED", 1): (1, 5),
    ("FULLY_CONNECTED", 4): (1, 14),
    ("FULLY_CONNECTED", 5): (2, 0),
    ("GATHER", 1): (1, 6),
    ("GELU", 1): (2, 9),
    ("GATHER", 2): (1, 14),
    ("GREATER", 1): (1, 14),
    ("GREATER_EQUAL", 1): (1, 14),
    ("HARD_SWISH", 1): (1, 15),
    ("LEAKY_RELU", 1): (1, 13),
    ("LEAKY_RELU", 2): (2, 3),
    ("LESS", 1): (1, 14),
    ("LESS_EQUAL", 1): (1, 14),
    ("LOG", 1): (1, 14),
    ("LOGICAL_NOT", 1): (1, 11),
    ("LOG_SOFTMAX", 1): (1, 14),
    ("LOGISTIC", 1): (1, 14),
    ("LOGISTIC", 2): (1, 14),
    ("MAXIMUM", 1): (1, 14),
    ("MAXIMUM", 2): (1, 14),
    ("MAX_POOL_2D", 1): (1, 5),
    ("MAX_POOL_2D", 2): (1, 14),
    ("MEAN", 1): (1, 6),
    ("MEAN", 2): (1, 14),
    ("MINIMUM", 1): (1, 14),
    ("MINIMUM", 2): (1, 14),
    ("MUL", 1): (1, 5),
    ("MUL", 2): (1, 14),
    ("ONE_HOT", 1): (1, 11),
    ("PAD", 1): (1, 5),
    ("PAD", 2): (1, 14),
    ("PADV2", 1): (1, 9),
    ("PADV2", 2): (1, 14),
    ("POW", 1): (1, 10),
    ("PRELU", 1): (1, 8),
    ("QUANTIZE", 1): (1, 14),
    ("QUANTIZE", 2): (1, 15),
    ("REDUCE_MAX", 1): (1, 11),
    ("REDUCE_MIN", 1): (1, 11),
    ("RELU", 1): (1, 5),
    ("RELU", 2): (2, 1),
    ("RELU6", 1): (1, 5),
    ("RELU6", 2): (1, 14),
    ("RELU_N1_TO_1", 1): (1, 5),
    ("RESHAPE", 1): (1, 5),
    ("RESIZE_BILINEAR", 1): (1, 7),
    ("RESIZE_BILINEAR", 2): (1, 14),
    ("RESIZE_BILINEAR", 3): (2, 2),
    ("RESIZE_NEAREST_NEIGHBOR", 1): (1, 13),
    ("RESIZE_NEAREST_NEIGHBOR", 2): (1, 14),
    ("RESIZE_NEAREST_NEIGHBOR", 3): (2, 3),
    ("RSQRT", 1): (1, 10),
    ("SELECT_V2", 1): (2, 2),
    ("SLICE", 1): (1, 14),
    ("SLICE", 2): (1, 14),
    ("SOFTMAX", 1): (1, 5),
    ("SOFTMAX", 2): (1, 14),
    ("SPACE_TO_DEPTH", 1): (1, 5),
    ("SPACE_TO_DEPTH", 2): (1, 14),
    ("SPLIT", 1): (1, 5),
    ("SPLIT", 2): (1, 14),
    ("SQRT", 1): (1, 10),
    ("STRIDED_SLICE", 1): (1, 6),
    ("SUB", 1): (1, 6),
    ("SUB", 2): (1, 14),
    ("SUM", 1): (1, 10),
    ("TILE", 1): (1, 10),
    ("TRANSPOSE", 1): (1, 6),
    ("TRANSPOSE", 4): (2, 3),
    ("TRANSPOSE", 6): (2, 12),
    ("TANH", 1): (1, 14),
    ("TANH", 2): (1, 14),
    ("TRANSPOSE_CONV", 3): (2, 3),
    ("TRANSPOSE_CONV", 4): (2, 13),
}

_TYPES: dict[np.dtype[Any], str] = {
    np.dtype(np.float32): "FLOAT32",
    np.dtype(np.int32): "INT32",
    np.dtype(np.int64): "INT64",
    np.dtype(np.uint8): "UINT8",
    np.dtype(np.int8): "INT8",
    np.dtype(np.bool_): "BOOL",
}


def element_type(dtype: np.dtype[Any]) -> int:
    """Return the schema's number for a numpy element type."""
    return int(getattr(generated.TensorType, _TYPES[dtype]))


def numpy_type(number: int) -> np.dtype[Any]:
    """Return the numpy element type for the schema's number."""
    return next(dtype for dtype in _TYPES if element_type(dtype) == number)


def operator_number(name: str) -> int:
    """Return the schema's number for an operator such as ``CONV_2D``."""
    return int(getattr(generated.BuiltinOperator, name))


def activation(name: str) -> int:
    """Return the schema's number for a fused activation: NONE, RELU, RELU6 or RELU_N1_TO_1."""
    return int(getattr(generated.ActivationFunctionType, name))


def options(table: str, **values: Any) -> Any:
    """Return a table of operator options, ``Conv2D`` for ``Conv2DOptions``, with these fields set."""
    filled = getattr(generated, f"{table}OptionsT")()
    for name, value in values.items():
        assert hasattr(filled, name), f"{table}Options has no field {name}"
        setattr(filled, name, value)
    return filled


def minimum_runtime(operators: Iterable[tuple[str, int]]) -> str:
    """Return the oldest release that knows all these (operator, version), as ``major.minor.0``."""
    major, minor = max((RELEASES[operator] for operator in operators), default=(1, 5))
    return f"{major}.{minor}.0"
