"""Everything that changes while training, and the file it continues from."""

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from segfast_edge.contract.shared.files import replacing_file
from segfast_edge.errors import ArtifactError
from segfast_edge.training.ema import Average

KIND = "segfast-edge training state"
VERSION = 1


@dataclass(slots=True)
class Sums:
    """Running sums over the epoch in progress."""

    loss: float = 0.0
    images: int = 0
    seconds: float = 0.0

    @property
    def mean_loss(self) -> float:
        """Loss per image so far."""
        return self.loss / max(1, self.images)


@dataclass(slots=True)
class State:
    """A training between two steps: ``epoch`` complete epochs, and ``step`` steps of the one in progress.

    Nothing random is kept: order, augmentation and dropout are functions of the seed and the step.
    """

    module: nn.Module
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    average: Average | None
    epoch: int = 0
    step: int = 0
    best_miou: float = -1.0
    best_epoch: int = 0
    elapsed_s: float = 0.0

    @property
    def evaluated(self) -> nn.Module:
        """The network whose figures count: the averaged one if there is one."""
        return self.module if self.average is None else self.average.module

    def save(self, path: Path, sums: Sums) -> None:
        """Write the state, whole or not at all."""
        value = {
            "kind": KIND,
            "version": VERSION,
            "module": self.module.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": None if self.average is None else self.average.state(),
            "epoch": self.epoch,
            "step": self.step,
            "best_miou": self.best_miou,
            "best_epoch": self.best_epoch,
            "elapsed_s": self.elapsed_s,
            "sums": {"loss": sums.loss, "images": sums.images, "seconds": sums.seconds},
        }
        with replacing_file(path) as temporary:
            try:
                torch.save(value, temporary)
            except RuntimeError as error:  # what torch's writer makes of a full disk
                raise ArtifactError(f"cannot write {path}: {str(error).partition(chr(10))[0]}") from error

    def load(self, path: Path) -> Sums:
        """Continue from what ``save`` wrote.

        Raises:
            ArtifactError: no such file, damaged, not a training state, or of another network or recipe.
        """
        value = _read(path)
        try:
            self.module.load_state_dict(value["module"])
            self.optimiser.load_state_dict(value["optimiser"])
            self.scaler.load_state_dict(value["scaler"])
            if self.average is not None:
                self.average.load(value["average"])
            self.epoch, self.step = int(value["epoch"]), int(value["step"])
            self.best_miou, self.best_epoch = float(value["best_miou"]), int(value["best_epoch"])
            self.elapsed_s = float(value["elapsed_s"])
            return Sums(**value["sums"])
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            line = str(error).partition("\n")[0]
            raise ArtifactError(f"{path} does not fit this training: {type(error).__name__} {line}") from error


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise ArtifactError(f"no training to continue: {path} does not exist")
    try:
        value = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise ArtifactError(f"{path} is damaged: {str(error).partition(chr(10))[0]}") from error
    if not isinstance(value, dict) or value.get("kind") != KIND or value.get("version") != VERSION:
        raise ArtifactError(f"{path} is not a training state of this release")
    return value
