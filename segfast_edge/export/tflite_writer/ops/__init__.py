"""The operators that can be written: one public function per torch operator, found by its name.

A function takes the translation and the call and returns the result. An underscore that torch's name begins or ends
with is left out, and one behind a name keeps it apart from Python's own (``slice_``).
"""

import importlib
import pkgutil

from segfast_edge.export.tflite_writer.translate import Writer


def writers() -> dict[str, Writer]:
    """Return the function for each operator's name, from every module here."""
    modules = [importlib.import_module(f"{__name__}.{each.name}") for each in pkgutil.iter_modules(__path__)]
    return {
        name.strip("_"): function
        for module in modules
        for name, function in vars(module).items()
        if not name.startswith("_") and getattr(function, "__module__", "") == module.__name__
    }
