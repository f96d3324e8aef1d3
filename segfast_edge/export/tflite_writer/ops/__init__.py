"""The operators that can be written: one public function per torch operator, found by its name.

A function takes the translation and the call and returns the result. An underscore that torch's name begins or ends
with is left out, and one behind a name keeps it apart from Python's own (``slice_``).
"""

from types import ModuleType

from segfast_edge.export.tflite_writer.ops import (
    activations,
    arithmetic,
    arrange,
    convolution,
    masks,
    matrices,
    moving,
    norms,
    pooling,
    reductions,
    resize,
    unpooling,
)
from segfast_edge.export.tflite_writer.translate import Writer

_MODULES: tuple[ModuleType, ...] = (
    activations,
    arithmetic,
    arrange,
    convolution,
    masks,
    matrices,
    moving,
    norms,
    pooling,
    reductions,
    resize,
    unpooling,
)


def writers() -> dict[str, Writer]:
    """Return the function for each operator's name."""
    return {
        name.strip("_"): function
        for module in _MODULES
        for name, function in vars(module).items()
        if not name.startswith("_") and getattr(function, "__module__", "") == module.__name__
    }
