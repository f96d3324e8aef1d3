"""The settings of a training: stored as config.json beside its checkpoints, and read again when it continues."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from segfast_edge.contract.shared import records
from segfast_edge.errors import SegfastError, unknown
from segfast_edge.training.recipe import Recipe, recipe

Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True, slots=True)
class Hardware:
    """Device and precision of the arithmetic; they may differ when a run continues.

    ``workers`` is the number of loading processes, None to choose: none if the data is in memory and needs
    no augmentation. ``max_hours`` after its start, the process saves its state and ends; None for no limit.
    ``loggers`` are the user's own: package.module:factory of the folder, the configuration and the first epoch.
    """

    device: str = "auto"
    precision: Precision = "auto"
    workers: int | None = None
    compile: bool = False
    tensorboard: bool = False
    deterministic: bool = False
    max_hours: float | None = None
    loggers: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.precision not in get_args(Precision):
            raise SegfastError(unknown("precision", self.precision, get_args(Precision)))
        if self.workers is not None and self.workers < 0:
            raise SegfastError(f"--num-workers {self.workers} is below 0")
        if self.max_hours is not None and not self.max_hours > 0:
            raise SegfastError(f"--max-hours {self.max_hours} must be over 0")


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """One training run. ``size`` is the network's input (height, width), None for the protocol's own.

    ``teacher`` and ``start`` are checkpoints: one to distil from, one to take the first weights from. ``pretrained``
    begins with the weights that the network's file names. ``strict`` refuses a start whose weights do not all match.
    """

    model: str = "segfast"
    data: str = "scenes"
    data_root: Path | None = None
    protocol: str = "paper"
    size: tuple[int, int] | None = None
    seed: int = 0
    teacher: Path | None = None
    start: Path | None = None
    pretrained: bool = False
    strict: bool = True
    recipe: Recipe = field(default_factory=lambda: recipe("paper"))
    hardware: Hardware = field(default_factory=Hardware)

    def __post_init__(self) -> None:
        if self.recipe.fake_int8 and self.start is None:
            raise SegfastError("training for int8 needs trained weights; pass --start CHECKPOINT")

        if self.pretrained and self.start is not None:
            raise SegfastError("--pretrained and --start both give the first weights; choose one")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values, without the hardware, which is not part of what is trained."""
        value = records.written(self)
        del value["hardware"]
        return value

    @classmethod
    def from_json(cls, value: Mapping[str, Any], hardware: Hardware) -> "TrainingSettings":
        """Read what ``to_json`` wrote.

        Raises:
            SegfastError: a field missing or of the wrong kind.
        """
        try:
            return replace(records.read(cls, value, ("pretrained", "strict", "hardware")), hardware=hardware)
        except (KeyError, TypeError, ValueError) as error:
            raise SegfastError(f"config.json is not valid: {type(error).__name__} {error}") from error
