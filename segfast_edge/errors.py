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
    └── DataChoiceError               a dataset can be read in two ways, and nobody said which

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


def unknown(kind: str, name: str, known: Iterable[str]) -> str:
    """Say that ``name`` is no known ``kind``, with the nearest match and the whole list."""
    allowed = sorted(known)
    near = difflib.get_close_matches(name, allowed, n=1, cutoff=0.5)
    hint = f" Did you mean '{near[0]}'?" if near else ""
    return f"unknown {kind} '{name}'.{hint} Known: {', '.join(allowed)}"
