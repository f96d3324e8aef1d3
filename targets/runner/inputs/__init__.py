"""The inputs of the runner: one module per kind, found by listing this folder.

A module has ``FORM`` (what to write on the command line), ``matches(text)`` and ``open_input(text, options)``.
"""

import importlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, cast

from segfast_edge.contract.shared.found import names_in
from segfast_edge.errors import DataError, SegfastError
from targets.runner.decoding import RULES, PictureRules
from targets.runner.frames import Payload, Size


class InputLostError(SegfastError):
    """A source that was or should be there is not: unplugged, unreachable, silent. Worth another attempt."""


class EndOfInputError(Exception):
    """A source has given its last frame."""


@dataclass(frozen=True, slots=True)
class Grab:
    """One frame from a source, and what to call it."""

    name: str
    payload: Payload


@dataclass(frozen=True, slots=True)
class InputOptions:
    """Options for reading a source.

    ``rate`` (frames per second) makes a folder, a video file or the test pattern behave like a camera; ``repeat``
    starts a folder or file again at its end; ``raw_size`` is that of raw frames on standard input; ``rules`` are those
    for encoded pictures; ``silence_s`` is how long a connected source may say nothing before it counts as lost.
    """

    rate: float | None = None
    repeat: bool = False
    raw_size: Size | None = None
    rules: PictureRules = RULES
    silence_s: float = 5.0


class Input(Protocol):
    """A camera, stream, file or folder.

    ``live`` says that frames come at their own pace and can be missed, ``camera`` that a sensor gives them: no two are
    the same, and a black one is not what was meant.
    """

    live: bool
    camera: bool

    def connect(self) -> None:
        """Open it, or open it again; InputLostError if it is not there now."""
        return

    def read(self, wait_s: float, /) -> Grab | None:
        """Return the next frame, or None after ``wait_s`` without one (a source may take longer to notice).

        Raises:
            InputLostError: it went away.
            EndOfInputError: there is nothing more to come.
        """
        ...

    def interrupt(self) -> None:
        """End a ``read`` that waits, and every later one; called from another thread."""
        ...

    def close(self) -> None:
        """Let go of it; called by the thread that reads."""
        return


class _Module(Protocol):
    FORM: str

    def matches(self, text: str) -> bool: ...

    def open_input(self, text: str, options: InputOptions) -> Input: ...


def kinds() -> list[str]:
    """Return the kinds of input."""
    return names_in(Path(__file__).parent)


def _modules() -> list[_Module]:
    return [cast(_Module, importlib.import_module(f"{__name__}.{name}")) for name in kinds()]


def public(text: str) -> str:
    """Return an input's name without the user and password that an address may have."""
    return re.sub(r"(://).*@", r"\1", text)


def forms() -> list[str]:
    """Return what can be written for an input."""
    return [module.FORM for module in _modules()]


def open_input(text: str, options: InputOptions) -> Input:
    """Return the source that ``text`` names, not yet connected.

    Raises:
        DataError: no kind of source is written so, or the file or folder is not there.
    """
    for module in _modules():
        if module.matches(text):
            return module.open_input(text, options)
    raise DataError(f"no input '{public(text)}'. An input is: {'; '.join(forms())}")
