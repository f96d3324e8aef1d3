"""What a model file computes inside: one module per format whose runtime shows it, with ``values(path, batch)``.

A format without a module here is one whose runtime shows nothing between input and output, or not by a layer's name.
"""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

import numpy.typing as npt

from segfast_edge.contract.shared.found import names_in
from segfast_edge.contract.shared.images import Frame
from segfast_edge.errors import TargetError

NETWORK = "network."  # under which the deployed graph has the network's own layers


@dataclass(frozen=True, slots=True)
class Intermediate:
    """The last value that a file computes for one layer, in torch's order of axes and in float32.

    ``limits`` are those of an activation that the file computes in the same step, None where there is none.
    """

    layer: str
    value: npt.NDArray[Any]
    limits: tuple[float | None, float | None] | None = None


class Reader(Protocol):
    """A module of this package."""

    def values(self, path: Path, batch: Frame) -> Sequence[Intermediate]:
        """Run the file once on a batch and return what it computes for each layer, by torch's name of it."""
        ...


def readers() -> list[str]:
    """Return the formats whose runtimes show what is computed inside."""
    return names_in(Path(__file__).parent)


def reader(name: str) -> Reader:
    """Return a format's module.

    Raises:
        TargetError: its runtime shows nothing.
    """
    if name not in readers():
        raise TargetError(
            f"the runtime of {name} does not show what a layer computes; --layers is for {', '.join(readers())}"
        )
    return cast(Reader, importlib.import_module(f"{__name__}.{name}"))
