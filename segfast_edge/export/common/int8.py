"""What makes an artifact int8: the frames it was calibrated on, and how much of the task metric it may lose."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, cast

import numpy as np

from segfast_edge.contract.images import Frame
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.data.calibration import Calibration
from segfast_edge.errors import AccuracyGateError, ConversionError, DataError
from segfast_edge.evaluate import Evaluation, Truth, evaluate
from segfast_edge.export import Exporter, integer_formats
from segfast_edge.export.common.graph import Deployable
from segfast_edge.labeller import open_labeller

SUBSET = 300
DropType = Literal["absolute", "relative"]


class Quantizer(Exporter, Protocol):
    """An exporter that can also write integers."""

    def quantize(self, graph: Deployable, manifest: Manifest, folder: Path, frames: Sequence[Frame]) -> Manifest:
        """Write the model file in int8, ranges taken from uint8 frames H x W x 3 of the network's size."""
        ...


@dataclass(frozen=True, slots=True)
class Gate:
    """How far mIoU on a labelled split may fall below the checkpoint's; ``relative`` is a share of the latter."""

    truth: Truth
    max_drop: float = 0.01
    drop_type: DropType = "absolute"

    def __post_init__(self) -> None:
        if not 0 <= self.max_drop < 1:
            raise DataError(f"--max-drop {self.max_drop} is outside 0 to 1; mIoU is a share, 0.01 is one point")
        if self.drop_type not in ("absolute", "relative"):
            raise DataError(f"--drop-type {self.drop_type} is unknown; allowed: absolute, relative")


@dataclass(frozen=True, slots=True)
class Quantization:
    """Int8 as asked for: frames for the ranges (at most ``subset`` of them), and the gate where there is one."""

    calibration: Calibration
    subset: int | None = None
    gate: Gate | None = None

    def frames(self, preprocess: Preprocess) -> list[Frame]:
        """Return the calibration frames as the network gets them.

        Raises:
            DataError: a file is missing or not the one listed, or there are fewer than asked for.
        """
        count = self.subset if self.subset is not None else min(SUBSET, len(self.calibration.listed.entries))
        return [np.array(frame) for frame in self.calibration.frames(preprocess, count)]


def quantizer(writer: Exporter, name: str) -> Quantizer:
    """Return the exporter as one that can quantize; ConversionError where it cannot."""
    if not hasattr(writer, "quantize"):
        raise ConversionError(f"format {name} has no int8; --int8 works with {', '.join(integer_formats())}")
    return cast(Quantizer, writer)


def measure(checkpoint: Path, artifact: Path, gate: Gate) -> dict[str, Any]:
    """Evaluate both on the gate's data and return the record for the manifest.

    Raises:
        AccuracyGateError: the artifact loses more than the gate allows; ``figures`` holds the record.
    """
    before, after = (evaluate(open_labeller(path), gate.truth, lambda *_: None) for path in (checkpoint, artifact))
    record = _record(before, after, gate)
    if not record["drop"] <= gate.max_drop:  # NaN does not pass
        worst = sorted(record["iou"].items(), key=lambda item: _change(item[1]))[:3]
        losers = ", ".join(f"{name} {_change(pair):+.3f}" for name, pair in worst)
        raise AccuracyGateError(
            f"int8 has mIoU {after.matrix.miou:.4f} and float {before.matrix.miou:.4f} on {before.data} {before.split}"
            f" ({before.frames} frames, {before.protocol}): {gate.drop_type} drop {record['drop']:.4f}, allowed"
            f" {gate.max_drop}. Most lost: {losers}. No artifact was written",
            record,
        )
    return record


def _record(before: Evaluation, after: Evaluation, gate: Gate) -> dict[str, Any]:
    drop = before.matrix.miou - after.matrix.miou
    old, new = before.to_json(), after.to_json()
    return {
        "data": before.data,
        "split": before.split,
        "frames": before.frames,
        "protocol": before.protocol,
        "float_miou": old["miou"],
        "int8_miou": new["miou"],
        "drop": drop if gate.drop_type == "absolute" else drop / before.matrix.miou,
        "drop_type": gate.drop_type,
        "max_drop": gate.max_drop,
        "iou": {name: [value, new["iou"][name]] for name, value in old["iou"].items()},
    }


def _change(pair: Sequence[float | None]) -> float:
    before, after = pair
    return 0.0 if before is None or after is None else after - before
