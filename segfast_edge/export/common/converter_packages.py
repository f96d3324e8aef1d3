"""The packages that converters come in: whether they are installed, and which of them an artifact names."""

import importlib.util
import re
from collections.abc import Iterable

from segfast_edge.contract.formats import format_named, format_names, integer_formats
from segfast_edge.errors import ConversionError
from segfast_edge.export.common.exporter import Exporter


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
