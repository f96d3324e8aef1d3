"""Settings of int8: frames to calibrate on, layers to keep in float, and the loss that is allowed."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.contract.shared.images import Frame
from segfast_edge.data.calibration import Calibration
from segfast_edge.errors import DataError
from segfast_edge.prediction.evaluate import GroundTruth

SUBSET = 300
DropType = Literal["absolute", "relative"]


@dataclass(frozen=True, slots=True)
class Gate:
    """The allowed drop of mIoU on a labelled split; ``relative`` is a share of the checkpoint's mIoU."""

    truth: GroundTruth
    max_drop: float
    drop_type: DropType = "absolute"

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop < 1:
            raise DataError(f"--max-drop {self.max_drop} is outside 0 to 1; mIoU is a share, 0.01 is one point")
        if self.drop_type not in ("absolute", "relative"):
            raise DataError(f"--drop-type {self.drop_type} is unknown; allowed: absolute, relative")


@dataclass(frozen=True, slots=True)
class Agreement:
    """The share of pixels on the calibration frames that int8 must label as the float network does."""

    least: float = 0.95

    def __post_init__(self) -> None:
        if not 0 <= self.least <= 1:
            raise DataError(f"--min-agreement {self.least} is outside 0 to 1; it is a share of pixels")


@dataclass(frozen=True, slots=True)
class Quantization:
    """Int8 as asked for: frames for the ranges (at most ``subset`` of them), and the gate: on mIoU, or without labels.

    With ``search`` the fewest layers stay float with which the gate passes. ``engine`` as in ``Recipe``.
    """

    calibration: Calibration
    subset: int | None = None
    gate: Gate | Agreement = Agreement()
    search: bool = False
    engine: str | None = None

    def frames(self, preprocess: Preprocess) -> list[Frame]:
        """Return the calibration frames as the network gets them.

        Raises:
            DataError: a file is missing or not the one listed, or there are fewer than asked for.
        """
        count = self.subset if self.subset is not None else min(SUBSET, len(self.calibration.listed.entries))
        return [np.array(frame) for frame in self.calibration.frames(preprocess, count)]
