"""The descriptor of a target: a kind of computer, how to recognise it, and its engines. Standard library only.

A target is one file in ``targets/`` with ``TARGET``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from segfast_edge.contract.engines import BASE, Engine, engine_named
from segfast_edge.contract.formats import format_named, format_names
from segfast_edge.contract.shared.found import descriptor_in, names_in
from segfast_edge.errors import TargetError, unknown

_FOLDER = Path(__file__).parent.parent


@dataclass(frozen=True, slots=True)
class System:
    """The usual versions of Python and glibc on a kind of computer."""

    python: tuple[int, int]
    glibc: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of computer that runs artifacts.

    ``machine`` is its processor as ``uname -m`` says it. ``is_here`` looks at a root folder (``/`` except in tests) and
    says whether this machine is one. ``usual`` is None if no system is usual. ``memory_shared_with_gpu`` is true if the
    GPU has no memory of its own, ``prefers_gpu`` if an engine that can run on either is to take the GPU unless told
    otherwise. ``only_engine`` runs every format, whatever else is installed.
    """

    name: str
    description: str
    machine: str
    is_here: Callable[[Path], bool]
    usual: System | None = None
    memory_shared_with_gpu: bool = False
    prefers_gpu: bool = False
    only_engine: str | None = None

    def engines(self, model_format: str, precision: str = "float32") -> tuple[str, ...]:
        """Return the engines that serve a format here, the preferred first."""
        if self.only_engine is not None:
            return (self.only_engine,)
        candidates = {name: engine_named(name) for name in format_named(model_format).engines}
        return tuple(
            name
            for name, engine in candidates.items()
            if self._fits(engine) and engine.refusal(self, precision) is None
        )

    def _fits(self, engine: Engine) -> bool:
        return self.machine in engine.machines and (self.prefers_gpu or engine.gpu != "only")

    def formats(self, precision: str = "float32") -> list[str]:
        """Return the formats that an engine serves here."""
        names = [name for name in format_names() if precision != "int8" or format_named(name).integer]
        return [name for name in names if self.engines(name, precision)]

    def refusal(self, model_format: str, precision: str) -> str:
        """Say why no engine serves a format here, and which formats are served."""
        engines = (engine_named(name) for name in format_named(model_format).engines)
        reasons = [reason for engine in engines if self._fits(engine) and (reason := engine.refusal(self, precision))]
        reason = reasons[0] if reasons else f"target {self.name} does not run {model_format}"
        option = " --int8" if precision == "int8" else ""
        return (
            f"{reason}. Convert again for one of {', '.join(self.formats(precision))}:"
            f" segfast-edge convert ... --target FORMAT{option}"
        )

    def requirements(self, model_format: str) -> list[list[str]]:
        """Return lists of pip's requirements for a format, the preferred first; any one of them will do.

        An engine that comes with the system is left out. Raises TargetError if no engine serves the format.
        """
        names = self.engines(model_format)
        if not names:
            raise TargetError(self.refusal(model_format, "float32"))
        choices = [[*BASE, *packages] for name in names for packages in engine_named(name).packages]
        return choices or [[*BASE]]

    def to_json(self) -> dict[str, Any]:
        """Return what the toolkit asks of a target, as plain JSON values."""
        usual = None
        if self.usual is not None:
            usual = {"machine": self.machine, "python": self.usual.python, "glibc": self.usual.glibc}
        return {"name": self.name, "description": self.description, "usual": usual, "formats": self.formats()}


def targets() -> list[str]:
    """Return the targets' names."""
    return names_in(_FOLDER)


def target(name: str) -> Target:
    """Return a target by name.

    Raises:
        TargetError: no such target.
    """
    if name not in targets():
        raise TargetError(unknown("target", name, targets()))
    return descriptor_in(f"targets.{name}", "TARGET", Target)
