"""Other projects' converters for formats that we write ourselves: cross-checks, and for what ours does not cover.

A file here has what a format's file has, and goes to ``convert(..., by=...)``.
"""

import importlib
from pathlib import Path
from typing import cast

from segfast_edge.contract.shared.found import names_in
from segfast_edge.errors import ConversionError, unknown
from segfast_edge.export.common.converter_packages import require
from segfast_edge.export.common.exporter import Exporter


def converters() -> list[str]:
    """Return the names of the other converters, as their packages are called."""
    return [name.replace("_", "-") for name in names_in(Path(__file__).parent)]


def converter(name: str) -> Exporter:
    """Return another project's converter.

    Raises:
        ConversionError: there is none of that name, or it is not installed; the message says what to run.
    """
    if name not in converters():
        raise ConversionError(unknown("converter", name, converters()))
    require([name], name)
    return cast(Exporter, importlib.import_module(f"{__name__}.{name.replace('-', '_')}"))
