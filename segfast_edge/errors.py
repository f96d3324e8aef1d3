"""The one exception tree.

SegfastError                 exit 2   something the user can put right
├── ArtifactError                     an artifact or checkpoint is missing, damaged or of another version
├── ConversionError                   a network cannot be exported
│   ├── ParityError          exit 3   the exported model does not compute what torch computes
│   └── AccuracyGateError    exit 4   an int8 model loses more of the task metric than allowed
├── TargetError                       a device, runtime or engine is missing or unsuitable
│   ├── UnreachableError              ssh cannot reach a device, or lost it
│   └── InvalidMeasurementError   exit 5   a measurement is invalid, or too few to compare
└── DataError                         an image, label or dataset is not what it should be
    └── DataChoiceError               a dataset can be read in two ways, and none was chosen

A message says what happened, the value, and what is allowed or what to run. The command line prints it as one
line on stderr and exits with ``exit_code``; any other exception is a bug of ours and keeps its traceback.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any


class SegfastError(Exception):
    """Root of everything a user can put right."""

    exit_code = 2


class ArtifactError(SegfastError):
    """An artifact folder or checkpoint is missing, damaged or of another version."""


class ConversionError(SegfastError):
    """A network cannot be exported to the format asked for."""


class ParityError(ConversionError):
    """The exported model does not compute what torch computes."""

    exit_code = 3


class AccuracyGateError(ConversionError):
    """A quantized model loses more of the task metric than the gate allows.

    ``figures`` are those that it failed by: mIoU and IoU per class, before and after.
    """

    exit_code = 4

    def __init__(self, message: str, figures: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.figures = figures or {}


class TargetError(SegfastError):
    """A device, runtime or engine is missing or unsuitable."""


class UnreachableError(TargetError):
    """A device cannot be reached by ssh, or the connection to it was lost."""


class InvalidMeasurementError(TargetError):
    """A measurement is invalid because of what it was taken under, or too few were taken to compare."""

    exit_code = 5


class DataError(SegfastError):
    """An image, a label or a dataset is not what it should be."""


class DataChoiceError(DataError):
    """A dataset's layout is known, and it can be read in two ways that mean different things."""


def printable(text: str) -> str:
    """Return ``text`` with everything escaped that could end a line, move a cursor or not be written as UTF-8.

    Names of files may hold any byte; Python has those that are not UTF-8 as lone surrogates.
    """
    return "".join(character if character.isprintable() else _escaped(character) for character in text)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    return character.encode("unicode_escape").decode("ascii")


def one_line(error: BaseException) -> str:
    """Return an error's message as one line that can be printed anywhere."""
    return printable(" ".join(str(error).split()))


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that ``name`` is not a known ``kind``, with the nearest match and the whole list."""
    allowed = sorted(known)
    near = difflib.get_close_matches(name, allowed, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"unknown {kind} '{name}'.{hint} Known: {', '.join(allowed)}"
