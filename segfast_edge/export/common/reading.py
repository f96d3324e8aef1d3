"""Finds the logits in a network's output: one tensor of a dictionary or tuple, enlarged if it is smaller."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from segfast_edge.errors import ConversionError

PREFERRED = ("out", "logits")  # what torchvision's and transformers' networks call theirs
MODES = ("bilinear", "nearest")


@dataclass(frozen=True, slots=True)
class OutputChoice:
    """A user's choice: key or position of the logits, and how to enlarge them; None means the default."""

    key: str | None = None
    upsample: str | None = None


ANY_OUTPUT = OutputChoice()


@dataclass(frozen=True, slots=True)
class Reading:
    """How to read logits N x classes x H x W from an output; ``assumed`` describes choices not made by the user."""

    key: str | int | None = None  # None: the output is the tensor itself
    size: tuple[int, int] | None = None  # None: it has the input's size
    mode: str = "bilinear"
    one_logit: bool = False
    assumed: Sequence[str] = field(default=())

    @property
    def is_plain(self) -> bool:
        """Whether the output is the logits."""
        return self.key is None and self.size is None and not self.one_logit

    def __call__(self, output: Any) -> Tensor:
        """Return the logits of an output."""
        logits: Tensor = output if self.key is None else output[self.key]
        if self.one_logit:
            logits = F.pad(logits, (0, 0, 0, 0, 1, 0))  # zero is the logit of class 0
        if self.size is not None and self.mode == "nearest":
            logits = F.interpolate(logits, self.size, mode="nearest")
        elif self.size is not None:
            logits = F.interpolate(logits, self.size, mode="bilinear", align_corners=False)
        return logits


def reading_of(output: object, classes: int, size: tuple[int, int], choice: OutputChoice) -> Reading:
    """Return how to read an output that a network gave for one picture of ``size``.

    Raises:
        ConversionError: no part of it can be logits of so many classes, or the user named one that is not there.
    """
    assumed: list[str] = []
    parts = _parts(output)
    key = _key(parts, classes, choice, assumed) if parts is not None else None
    if parts is None and choice.key is not None:
        raise ConversionError(f"--output-key {choice.key}: the network gives one tensor; leave --output-key out")
    logits = output if parts is None else parts[key]  # type: ignore[index]  # _key gives one of its keys
    one_logit = _fits(logits, 1) and classes == 2
    if not isinstance(logits, Tensor) or not (_fits(logits, classes) or one_logit):
        raise ConversionError(_no_logits(logits, classes, size))
    if one_logit:
        assumed.append("one logit per pixel: class 1 where it is above 0, that is, where its probability is above 0.5")
    smaller = tuple(logits.shape[2:]) != size
    if smaller:
        _enlarged(logits, size, choice, assumed)
    return Reading(key, size if smaller else None, choice.upsample or "bilinear", one_logit, tuple(assumed))


def _parts(output: object) -> dict[str | int, Any] | None:
    """Return the members of a dictionary, tuple or list; None for anything else."""
    if isinstance(output, Mapping):
        return dict(output)
    if isinstance(output, tuple | list):
        return dict(enumerate(output))
    return None


def _key(parts: Mapping[str | int, Any], classes: int, choice: OutputChoice, assumed: list[str]) -> str | int:
    members = ", ".join(f"{key} {_shape(value)}" for key, value in parts.items())
    if choice.key is not None:
        named = {str(key): key for key in parts}
        if choice.key not in named:
            raise ConversionError(f"--output-key {choice.key}: the network's output has {members or 'nothing in it'}")
        return named[choice.key]
    fitting = [key for key, value in parts.items() if _fits(value, classes) or (classes == 2 and _fits(value, 1))]
    if not fitting:
        raise ConversionError(
            f"no part of the network's output has logits of {classes} classes: {members or 'it is empty'}; name the"
            " number of classes with --classes, or a part with --output-key"
        )
    preferred = [key for key in PREFERRED if key in fitting]
    key = (preferred or fitting)[0]
    assumed.append(f"the logits are '{key}' of the network's output ({members}); --output-key takes another")
    return key


def _enlarged(logits: Tensor, size: tuple[int, int], choice: OutputChoice, assumed: list[str]) -> None:
    """Check that logits can be enlarged, and say so."""
    height, width = logits.shape[2:]
    if height > size[0] or width > size[1] or (height, width) == (1, 1):
        raise ConversionError(
            f"the network gives logits of {height}x{width} for a picture of {size[0]}x{size[1]}; they must be of that"
            " size, or smaller and then more than one pixel"
        )
    if choice.upsample is None:
        assumed.append(
            f"logits of {height}x{width} are enlarged to {size[0]}x{size[1]} bilinearly (align_corners=False);"
            " --upsample nearest repeats them"
        )


def _fits(value: object, channels: int) -> bool:
    return isinstance(value, Tensor) and value.ndim == 4 and tuple(value.shape[:2]) == (1, channels)


def _no_logits(value: object, classes: int, size: tuple[int, int]) -> str:
    said = f"the network gives {_shape(value)}; expected logits of shape {(1, classes, *size)}, or smaller maps of them"
    if _fits(value, 1):
        return f"{said}. A binary network, with one logit per pixel, converts with --classes 2"
    if isinstance(value, Tensor) and value.ndim == 4 and value.shape[-1] == classes:
        return f"{said}. Its classes are the last axis: return logits.permute(0, 3, 1, 2) from forward"
    return said


def _shape(value: object) -> str:
    return str(tuple(value.shape)) if isinstance(value, Tensor) else type(value).__name__
