"""Descriptors of the formats: one file each, with ``FORMAT``. Standard library only; toolkit and device read them.

The module that converts to it is ``segfast_edge/export/NAME.py``.
"""

from dataclasses import dataclass
from pathlib import Path

from segfast_edge.contract.engines import engine_named
from segfast_edge.contract.shared.found import descriptor_in, names_in
from segfast_edge.errors import ArtifactError, unknown


@dataclass(frozen=True, slots=True)
class Format:
    """A kind of model file.

    ``engines`` are those that open it, the preferred first. ``extra`` is the pip extra that brings ``converter``, what
    converting takes besides torch (pip's requirements), and the packages of the first engine that has any. A format
    with ``half`` can be written with float16 weights, which processors that can also compute in. One with ``integer``
    can be written in int8, for which ``integer_converter`` comes from the extra ``int8``; if engines
    need int8 in forms of their own, ``integer_engines`` names those that it can be written for, the default first.
    ``other_converters`` are other projects', each a module in ``segfast_edge/export/converters``.
    """

    title: str
    model_file: str
    engines: tuple[str, ...]
    extra: str
    converter: tuple[str, ...] = ()
    more_files: tuple[str, ...] = ()
    half: bool = False
    integer: bool = False
    integer_converter: tuple[str, ...] = ()
    integer_engines: tuple[str, ...] = ()
    other_converters: tuple[str, ...] = ()

    @property
    def imports_torch(self) -> bool:
        """Whether every engine that opens it imports torch."""
        return all(engine_named(name).imports_torch for name in self.engines)


def format_names() -> list[str]:
    """Return the formats' names."""
    return names_in(Path(__file__).parent)


def format_named(name: str) -> Format:
    """Return a format's descriptor.

    Raises:
        ArtifactError: no such format.
    """
    if name not in format_names():
        raise ArtifactError(unknown("format", name, format_names()))
    return descriptor_in(f"{__name__}.{name}", "FORMAT", Format)


def integer_formats() -> list[str]:
    """Return the formats that can be written in int8."""
    return [name for name in format_names() if format_named(name).integer]


def half_formats() -> list[str]:
    """Return the formats that can be written in float16."""
    return [name for name in format_names() if format_named(name).half]


def formats_of(engine: str) -> list[str]:
    """Return the formats that an engine opens."""
    if engine_named(engine).opens_anything:
        return format_names()
    return [name for name in format_names() if engine in format_named(name).engines]
