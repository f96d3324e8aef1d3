"""The accuracy gate: mIoU of an int8 artifact against that of the checkpoint, on the same labelled frames.

Without labels it is the share of pixels that the artifact labels as the network in float32 does.
"""

import contextlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from segfast_edge.contract.shared.images import Frame, Labels
from segfast_edge.device.spawn import outputs
from segfast_edge.errors import AccuracyGateError, DataError
from segfast_edge.export.common.quantization import Agreement, Gate
from segfast_edge.prediction.evaluate import Evaluation, evaluate
from segfast_edge.prediction.predictor import open_predictor


def baseline(checkpoint: Path, gate: Gate) -> Evaluation:
    """Measure what the gate compares with: the checkpoint, in float32.

    Raises:
        DataError: it gets nothing right there, so that there is nothing for int8 to keep.
    """
    before = evaluate(open_predictor(checkpoint), gate.truth, lambda *_: None)
    if not before.matrix.miou > 0:  # NaN: no pixel counts
        raise DataError(
            f"{checkpoint} has mIoU {before.matrix.miou} on {before.data} {before.split} ({before.frames} frames), so a"
            " gate would compare nothing; name data it was trained for: --gate-data, --gate-split"
        )
    return before


def measure(before: Evaluation, artifact: Path, gate: Gate) -> dict[str, Any]:
    """Evaluate an artifact on the gate's data and return the record for the manifest.

    Raises:
        AccuracyGateError: the artifact loses more than the gate allows; ``figures`` holds the record.
    """
    after = evaluate(open_predictor(artifact), gate.truth, lambda *_: None)
    record = _record(before, after, gate)
    if not record["drop"] <= gate.max_drop:  # NaN does not pass
        worst = sorted(record["iou"].items(), key=lambda item: _change(item[1]))[:3]
        losers = ", ".join(f"{name} {_change(pair):+.3f}" for name, pair in worst)
        raise AccuracyGateError(
            f"the {after.subject} has mIoU {after.matrix.miou:.4f} and float {before.matrix.miou:.4f}"
            f" on {before.data} {before.split} ({before.frames} frames, {before.protocol}):"
            f" {gate.drop_type} drop {record['drop']:.4f}, allowed {gate.max_drop}."
            f" Most lost: {losers}. No artifact was written",
            record,
        )
    return record


def measure_agreement(
    artifact: Path, frames: Sequence[Frame], expected: Sequence[Labels], floor: Agreement
) -> dict[str, Any]:
    """Run an artifact on frames whose labels in float32 are known, and return the record for the manifest.

    Raises:
        AccuracyGateError: fewer pixels are labelled alike than ``floor`` asks for; ``figures`` holds the record.
    """
    named = [(f"calibration{number}", frame) for number, frame in enumerate(frames)]
    alike = []
    with contextlib.closing(outputs(artifact, named)) as results:
        for raw, labels in zip(results, expected, strict=True):
            found = raw[0].argmax(-1) if raw.ndim == 4 else raw[0]
            alike.append(float(np.mean(found == labels)))
    share = float(np.mean(alike))
    record = {
        "frames": len(alike),
        "label_agreement": share,
        "label_agreement_worst_frame": min(alike),
        "min_agreement": floor.least,
        "drop": 1 - share,
    }
    if not share >= floor.least:
        raise AccuracyGateError(
            f"the int8 model labels {share:.2%} of pixels as the float network does, on {len(alike)} calibration"
            f" frames (worst frame {min(alike):.2%}); at least {floor.least:.2%} are needed. No artifact was written."
            " Calibrate on frames like the device's, let --search keep layers in float, or set --min-agreement",
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
