"""Descriptors of the engines: one file each, with ``ENGINE``. Standard library only; toolkit and device read them.

The module that runs it is ``targets/engines/NAME.py``; the formats that it opens name it (``contract/formats``).
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from segfast_edge.contract.shared.found import descriptor_in, names_in
from segfast_edge.errors import TargetError, unknown

X86, ARM64 = "x86_64", "aarch64"  # as ``uname -m`` says it
BASE = ("numpy>=1.26", "pillow>=10.3")  # what the device side needs besides an engine

Gpu = Literal["never", "possible", "only"]


class Computer(Protocol):
    """The facts about a computer that a refusal may depend on."""

    @property
    def machine(self) -> str:
        """The processor."""
        ...

    @property
    def prefers_gpu(self) -> bool:
        """Whether there is a GPU that engines take by default."""
        ...


def _anywhere(_: Computer, __: str) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Engine:
    """A runtime on the device.

    Any one of ``modules`` that can be imported will do; none: nothing is needed. ``packages`` are pip's requirements
    that a device installs, several sets if any one of them is enough, the best first; none: it comes with the system.
    ``precisions`` are what ``--precision`` can ask for, none if it runs what the file holds. ``layers`` says
    whether it can time each layer, ``machines`` which processors it is served on, ``refusal`` why a model of a
    precision (``float32``, ``int8``) must not run on a computer, or None.
    """

    title: str
    modules: tuple[str, ...] = ()
    packages: tuple[tuple[str, ...], ...] = ()
    precisions: tuple[str, ...] = ()
    gpu: Gpu = "never"
    layers: bool = True
    machines: tuple[str, ...] = (X86, ARM64)
    refusal: Callable[[Computer, str], str | None] = field(default=_anywhere)
    imports_torch: bool = False
    opens_anything: bool = False


def engine_names() -> list[str]:
    """Return the engines' names."""
    return names_in(Path(__file__).parent)


def engine_named(name: str) -> Engine:
    """Return an engine's descriptor.

    Raises:
        TargetError: no such engine.
    """
    if name not in engine_names():
        raise TargetError(unknown("engine", name, engine_names()))
    return descriptor_in(f"{__name__}.{name}", "ENGINE", Engine)
