"""From a checkpoint to an artifact folder; one public module per format.

A format is a file here with ``EXTRA`` (the pip extra that brings its tools) and
``export(graph, manifest, folder) -> Manifest``; ``TOOLS`` names the distributions whose versions are recorded, and a
``quantize`` makes it one that can be written in int8 (``common.int8.Quantizer``).
"""

import ast
import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

from segfast_edge.errors import ConversionError, unknown

if TYPE_CHECKING:
    from segfast_edge.contract.manifest import Manifest
    from segfast_edge.export.common.graph import Deployable


class Exporter(Protocol):
    """What a format's module has."""

    EXTRA: str
    TOOLS: tuple[str, ...]

    def export(self, graph: "Deployable", manifest: "Manifest", folder: Path) -> "Manifest":
        """Write the model file; return the manifest with the tensors' names; ConversionError names what cannot be."""
        ...


def formats() -> list[str]:
    """Return the formats that can be written, read from the files without importing them."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if "EXTRA" in _constants(path))


def integer_formats() -> list[str]:
    """Return the formats that can be written in int8, which are those whose file defines ``quantize``."""
    return [name for name in formats() if "quantize" in _functions(_file(name))]


def exporter(name: str) -> Exporter:
    """Return a format's module.

    Raises:
        ConversionError: no such format, or its tools are not installed; the message says what to run.
    """
    if name not in formats():
        raise ConversionError(unknown("format", name, formats()))
    constants = _constants(_file(name))
    for tool in constants.get("TOOLS", ()):
        require(tool, "train" if tool == "torch" else constants["EXTRA"])
    return cast(Exporter, importlib.import_module(f"{__name__}.{name}"))


def require(tool: str, extra: str) -> None:
    """Raise ConversionError, with the pip extra that brings it, where a distribution is not installed."""
    if importlib.util.find_spec(tool.replace("-", "_")) is None:
        raise ConversionError(f"{tool} is missing. Run: pip install 'segfast-edge[{extra}]'")


def _file(name: str) -> Path:
    return Path(__file__).with_name(f"{name}.py")


def _functions(path: Path) -> set[str]:
    body = ast.parse(path.read_text(encoding="utf-8")).body
    return {statement.name for statement in body if isinstance(statement, ast.FunctionDef)}


def _constants(path: Path) -> dict[str, Any]:
    """Return a module's ``EXTRA`` and ``TOOLS``, where it has them."""
    found: dict[str, Any] = {}
    for statement in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.targets[0], ast.Name):
            name = statement.targets[0].id
            if name in ("EXTRA", "TOOLS"):
                found[name] = ast.literal_eval(statement.value)
    return found
