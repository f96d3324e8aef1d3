"""The outputs of the runner: one module per kind, found by listing this folder.

A module has ``FORM`` (what to write on the command line) and ``open_output(argument, context)``; its name is the
kind, and an output is written ``KIND:ARGUMENT``.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from segfast_edge.contract.shared.found import names_in
from segfast_edge.errors import DataError, unknown
from targets.runner.output_thread import Output
from targets.runner.telemetry import Telemetry


@dataclass(frozen=True, slots=True)
class OutputContext:
    """The runner's facts that an output may need.

    ``stdout`` is the file descriptor of the real standard output; ``token`` is asked of whoever opens the web page;
    ``folder`` is where relative paths start.
    """

    telemetry: Telemetry
    stdout: int
    token: str | None = None
    folder: Path = Path()


class _Module(Protocol):
    FORM: str

    def open_output(self, argument: str, context: OutputContext) -> Output: ...


def kinds() -> list[str]:
    """Return the kinds of output."""
    return names_in(Path(__file__).parent)


def _module(kind: str) -> _Module:
    return cast(_Module, importlib.import_module(f"{__name__}.{kind}"))


def forms() -> list[str]:
    """Return what can be written for an output."""
    return [_module(kind).FORM for kind in kinds()]


def open_output(text: str, context: OutputContext) -> Output:
    """Open the output that ``text`` names.

    Raises:
        DataError: no such kind, or its argument is missing or wrong.
    """
    kind, _, argument = text.partition(":")
    if kind not in kinds():
        raise DataError(f"{unknown('output', kind, kinds())}. An output is: {'; '.join(forms())}")
    return _module(kind).open_output(argument, context)
