"""From a checkpoint to an artifact folder; one public module per format.

What a format is stands in ``segfast_edge/contract/formats/NAME.py``. ``NAME.py`` here writes it with
``export(graph, manifest, folder) -> Manifest``, in int8 with ``quantize`` (``common.quantization``). ``LOWERINGS`` is
the form of transposed convolutions that was measured to be fastest, by precision, or by engine if int8 is for one.
"""

import importlib
from typing import cast

from segfast_edge.contract.formats import format_named, format_names
from segfast_edge.errors import ConversionError, unknown
from segfast_edge.export.common.converter_packages import require
from segfast_edge.export.common.exporter import Exporter


def exporter(name: str) -> Exporter:
    """Return a format's module.

    Raises:
        ConversionError: no such format, or its tools are not installed; the message says what to run.
    """
    if name not in format_names():
        raise ConversionError(unknown("format", name, format_names()))
    require(["torch"], "train")
    require(format_named(name).converter, format_named(name).extra)
    return cast(Exporter, importlib.import_module(f"{__name__}.{name}"))
