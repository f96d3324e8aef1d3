"""The interface of an exporter, and its input for int8."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, cast

from segfast_edge.contract.formats import format_named, integer_formats
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.shared.images import Frame
from segfast_edge.errors import ConversionError, unknown

if TYPE_CHECKING:
    from segfast_edge.export.common.graph import Deployable


class Exporter(Protocol):
    """A writer of a format: its module, or a third-party converter."""

    def export(self, graph: "Deployable", manifest: Manifest, folder: Path) -> Manifest:
        """Write the model file; return the manifest with the tensors' names; ConversionError names what cannot be."""
        ...


@dataclass(frozen=True, slots=True)
class Int8Recipe:
    """The input of a quantizer: uint8 frames H x W x 3 of the network's size, and layers to keep float.

    Layers go by their names in the deployed graph (``network.classifier``); a lowered layer's parts lie below it.
    ``engine`` is the runtime to write for, if the format names several in ``integer_engines``.
    """

    frames: Sequence[Frame]
    kept_float: Collection[str] = ()
    engine: str | None = None

    def keeps(self, name: str) -> bool:
        """Say whether the layer ``name``, or one that it is part of, stays float."""
        return any(name == kept or name.startswith(f"{kept}.") for kept in self.kept_float)


class Quantizer(Exporter, Protocol):
    """An exporter that can also write integers."""

    def quantize(self, graph: "Deployable", manifest: Manifest, folder: Path, recipe: Int8Recipe) -> Manifest:
        """Write the model file in int8."""
        ...


def quantizer(writer: Exporter, name: str, engine: str | None = None) -> Quantizer:
    """Return the exporter as one that can quantize; ConversionError if it cannot, or not for ``engine``."""
    if not hasattr(writer, "quantize"):
        raise ConversionError(f"format {name} has no int8; --int8 works with {', '.join(integer_formats())}")
    engines = format_named(name).integer_engines
    if engine is not None and engine not in engines:
        raise ConversionError(
            unknown("engine", engine, engines)
            if engines
            else f"int8 in format {name} is the same for every engine; leave --engine {engine} out"
        )
    return cast(Quantizer, writer)
