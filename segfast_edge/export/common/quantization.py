"""What int8 is asked for with: frames to calibrate on, layers to leave alone, and what it may cost."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np

from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.contract.shared.images import Frame
from segfast_edge.data.calibration import Calibration
from segfast_edge.errors import ConversionError, DataError
from segfast_edge.export import Exporter
from segfast_edge.export.common.graph import Deployable
from segfast_edge.prediction.evaluate import GroundTruth

SUBSET = 300
DropType = Literal["absolute", "relative"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """What an exporter quantizes with: uint8 frames H x W x 3 of the network's size, and layers to keep float.

    Layers go by their names in the deployed graph (``network.classifier``); a lowered layer's parts lie below it.
    ``engine`` is the runtime to write for, if the format names several in ``integer_engines``.
    """

    frames: Sequence[Frame]
    kept_float: Collection[str] = ()
    engine: str | None = None

    def keeps(self, name: str) -> bool:
        """Say whether the layer ``name``, or one that it is part of, stays float."""
        return any(name == kept or name.startswith(f"{kept}.") for kept in self.kept_float)


class Quantizer(Exporter, Protocol):
    """An exporter that can also write integers."""

    def quantize(self, graph: Deployable, manifest: Manifest, folder: Path, recipe: Recipe) -> Manifest:
        """Write the model file in int8."""
        ...


@dataclass(frozen=True, slots=True)
class Gate:
    """How far mIoU on a labelled split may fall below the checkpoint's; ``relative`` is a share of the latter."""

    truth: GroundTruth
    max_drop: float = 0.01
    drop_type: DropType = "absolute"

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop < 1:
            raise DataError(f"--max-drop {self.max_drop} is outside 0 to 1; mIoU is a share, 0.01 is one point")
        if self.drop_type not in ("absolute", "relative"):
            raise DataError(f"--drop-type {self.drop_type} is unknown; allowed: absolute, relative")


@dataclass(frozen=True, slots=True)
class Quantization:
    """Int8 as asked for: frames for the ranges (at most ``subset`` of them), and the gate where there is one.

    With ``search`` the fewest layers stay float with which the gate passes. ``engine`` as in ``Recipe``.
    """

    calibration: Calibration
    subset: int | None = None
    gate: Gate | None = None
    search: bool = False
    engine: str | None = None

    def __post_init__(self) -> None:
        if self.search and self.gate is None:
            raise ConversionError("--search needs --gate-data: it looks for the fewest float layers that pass the gate")

    def frames(self, preprocess: Preprocess) -> list[Frame]:
        """Return the calibration frames as the network gets them.

        Raises:
            DataError: a file is missing or not the one listed, or there are fewer than asked for.
        """
        count = self.subset if self.subset is not None else min(SUBSET, len(self.calibration.listed.entries))
        return [np.array(frame) for frame in self.calibration.frames(preprocess, count)]
