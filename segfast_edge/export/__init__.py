"""From a checkpoint to an artifact folder; one public module per format.

What a format is stands in ``segfast_edge/contract/formats/NAME.py``. ``NAME.py`` here writes it with
``export(graph, manifest, folder) -> Manifest``, in int8 with ``quantize`` (``common.quantization``). ``LOWERINGS`` is
the form of transposed convolutions that was measured to be fastest, by precision, or by engine if int8 is for one.
"""

import importlib
import importlib.util
import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from segfast_edge.contract.formats import format_named, format_names, integer_formats
from segfast_edge.errors import ConversionError, unknown

if TYPE_CHECKING:
    from segfast_edge.contract.manifest import Manifest
    from segfast_edge.export.common.graph import Deployable


class Exporter(Protocol):
    """What writes a format: its module, or another project's converter."""

    def export(self, graph: "Deployable", manifest: "Manifest", folder: Path) -> "Manifest":
        """Write the model file; return the manifest with the tensors' names; ConversionError names what cannot be."""
        ...


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


def another(name: str, *, integer: bool = False) -> str:
    """Return the advice to try another format, for a network that one cannot be written in."""
    names = [each for each in (integer_formats() if integer else format_names()) if each != name]
    return f"Try --target {' or '.join(names)}{' with --int8' if integer else ''}"


def recorded_tools(name: str, writer: Exporter) -> list[str]:
    """Return the distributions whose versions an artifact records: the writer's own ``TOOLS``, else the format's."""
    tools: Iterable[str] | None = getattr(writer, "TOOLS", None)
    return [*map(distribution, format_named(name).converter), "torch"] if tools is None else list(tools)


def require(requirements: Iterable[str], extra: str) -> None:
    """Raise ConversionError, with the pip extra that brings it, if one of pip's requirements is not installed."""
    for tool in map(distribution, requirements):
        if importlib.util.find_spec(tool.replace("-", "_")) is None:
            raise ConversionError(f"{tool} is missing. Run: pip install 'segfast-edge[{extra}]'")


def distribution(requirement: str) -> str:
    """Return the name in one of pip's requirements."""
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]
