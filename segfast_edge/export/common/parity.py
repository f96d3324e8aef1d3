"""Does the artifact compute what torch computes? Asked of the device's own code, at the precision that executes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from segfast_edge.contract.images import Frame, Labels
from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.data.scene import render
from segfast_edge.errors import ParityError
from segfast_edge.export.common.graph import Deployable
from segfast_edge.spawn import outputs

NamedFrame = tuple[str, Frame]
Logits = npt.NDArray[np.float32]  # height x width x classes
GOLDEN = "golden"


@dataclass(frozen=True, slots=True)
class Thresholds:
    """What counts as the same.

    Logits within ``logits`` of torch's, relative to the largest logit where that is over 1, and at least the share
    ``labels`` of all pixels labelled alike.
    """

    logits: float = 1e-3
    labels: float = 0.999


@dataclass(frozen=True, slots=True)
class Reference:
    """Frames of any size with torch's logits for them, height x width x classes at the network's size."""

    frames: Sequence[NamedFrame]
    logits: Sequence[Logits]

    @property
    def golden(self) -> tuple[Frame, Labels]:
        """The first frame, and torch's labels for it."""
        return self.frames[0][1], self.logits[0].argmax(-1).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Difference:
    """How one artifact's outputs differ from torch's over all frames, and what executed them."""

    frames: int
    largest: float | None  # over all logits; None for labels
    scale: float | None  # the largest logit of torch
    agreement: float  # share of pixels labelled alike
    worst_agreement: float  # of a single frame
    session: Mapping[str, Any]


def scene_frame(preprocess: Preprocess, seed: int = 0) -> Frame:
    """Draw a street scene half again as large as the network's input, so that resizing is part of what is compared."""
    return render((0x5E6, seed), (preprocess.height * 3 // 2, preprocess.width * 3 // 2))[0]


def parity_frames(golden: Frame, preprocess: Preprocess) -> list[NamedFrame]:
    """Return the golden frame and others that differ: scenes, noise over all values, and no contrast at all."""
    rng = np.random.default_rng(0)
    height, width = preprocess.size
    return [
        (GOLDEN, golden),
        *((f"scene{seed}", scene_frame(preprocess, seed)) for seed in (1, 2)),
        ("noise", rng.integers(0, 256, (height, width, 3), np.uint8)),
        ("black", np.zeros((height, width, 3), np.uint8)),
        ("white", np.full((height, width, 3), 255, np.uint8)),
    ]


def reference(graph: Deployable, frames: Sequence[NamedFrame]) -> Reference:
    """Run the frames through torch in float32 on the CPU."""
    logits: list[Logits] = []
    with torch.inference_mode():
        for _, frame in frames:
            batch = torch.from_numpy(np.array(graph.preprocess.image(frame))[np.newaxis])
            logits.append(graph.logits(batch)[0].permute(1, 2, 0).numpy())
    return Reference(frames, logits)


def difference(artifact: Path, expected: Reference) -> Difference:
    """Run an artifact in a fresh device process and compare every frame.

    Raises:
        TargetError: the runtime is missing, or the process failed.
    """
    largest: list[float] = []
    alike: list[float] = []
    results = outputs(artifact, expected.frames)
    for raw, logits in zip(results, expected.logits, strict=True):
        is_logits = raw.ndim == 4
        labels = raw[0].argmax(-1) if is_logits else raw[0]
        alike.append(float(np.mean(labels == logits.argmax(-1))))
        if is_logits:
            largest.append(float(np.abs(raw[0] - logits).max()))
    scale = float(max(np.abs(logits).max() for logits in expected.logits))
    return Difference(
        frames=len(alike),
        largest=max(largest, key=lambda value: np.inf if np.isnan(value) else value) if largest else None,
        scale=scale if largest else None,
        agreement=float(np.mean(alike)),
        worst_agreement=min(alike),
        session=results.session,
    )


def judge(format_name: str, labels: Difference, logits: Difference, thresholds: Thresholds) -> dict[str, Any]:
    """Return the record for the manifest; ``labels`` is of the artifact itself, ``logits`` of the same with scores.

    Raises:
        ParityError: a threshold is not met; the message gives both figures.
    """
    assert logits.largest is not None
    assert logits.scale is not None
    allowed = thresholds.logits * max(1.0, logits.scale)
    passed = logits.largest <= allowed and labels.agreement >= thresholds.labels  # NaN fails
    if not passed:
        raise ParityError(
            f"the {format_name} model does not compute what torch computes: logits differ by {logits.largest:.3g}"
            f" (allowed {allowed:.3g}) and {labels.agreement:.3%} of labels agree (needed {thresholds.labels:.1%}),"
            f" over {labels.frames} frames executed in {labels.session['executed_precision']}. No artifact was written"
        )
    return {
        "frames": labels.frames,
        "runtime": labels.session["engine"],
        "executed_precision": labels.session["executed_precision"],
        "versions": dict(labels.session["versions"]),
        "logits_max_abs_diff": logits.largest,
        "logits_max_abs": logits.scale,
        "label_agreement": labels.agreement,
        "label_agreement_worst_frame": labels.worst_agreement,
        "thresholds": {"logits_max_abs_diff": allowed, "label_agreement": thresholds.labels},
    }
