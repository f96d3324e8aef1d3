"""The public TFLite flatbuffer schema: its generated classes and element types.

The classes come with the ai-edge-litert wheel, which is what runs the file afterwards; nothing of TensorFlow is used.
"""

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

_TYPES: dict[np.dtype[Any], str] = {
    np.dtype(np.float32): "FLOAT32",
    np.dtype(np.float16): "FLOAT16",
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
