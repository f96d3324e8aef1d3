"""The form of the transposed convolution that each runtime gets by default.

The order changes with the CPU and the network: ``--tune`` measures it where it matters.
"""

import importlib

from segfast_edge.contract.formats import format_named


def default_lowering(export_format: str, precision: str = "float32", engine: str | None = None) -> str:
    """Return the name of the lowering for a format, precision and engine; ``native`` for a format not measured."""
    format_named(export_format)
    measured: dict[str, str] = getattr(importlib.import_module(f"segfast_edge.export.{export_format}"), "LOWERINGS", {})
    if precision == "int8" and engine in measured:
        return measured[engine]
    return measured.get(precision, "native")
