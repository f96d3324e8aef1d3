"""Does the artifact compute what torch computes? Asked of the device's own code, at the precision that executes."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.contract.shared.images import Frame, Labels
from segfast_edge.data.scene import render
from segfast_edge.device.spawn import outputs
from segfast_edge.errors import ParityError

NamedFrame = tuple[str, Frame]
Logits = npt.NDArray[np.float32]  # height x width x classes
GOLDEN = "golden"
FLAT = {"black": (0, 0, 0), "orange": (255, 128, 0)}


@dataclass(frozen=True, slots=True)
class Thresholds:
    """The differences up to which outputs count as the same.

    A pixel is within when all its logits differ by at most ``logits`` times the largest logit of all frames. At least
    the share ``within`` of all pixels must be, and in every frame at least ``labels`` must be labelled alike.
    """

    logits: float = 1e-3
    labels: float = 0.999
    within: float = 1.0


# Unpooling with indices makes a network discontinuous: where two values are equal but for rounding, which differs
# between any two runtimes, a value lands on one pixel or on its neighbour, and every later layer sees that. One such
# place in SegNet's deepest pooling moved most logits of a 40x56 frame by 0.005; a wrong operator moves them all.
CONTINUOUS = Thresholds()
DISCONTINUOUS = Thresholds(labels=0.99, within=0.75)
# float16 has 11 bits: each weight is off by up to 1/2048 of itself, and so is each value where float16 computes
HALF = Thresholds(logits=2e-2, labels=0.99)


@dataclass(frozen=True, slots=True)
class Reference:
    """Frames of any size with torch's logits for them, height x width x classes at the network's size."""

    frames: Sequence[NamedFrame]
    logits: Sequence[Logits]

    @property
    def scale(self) -> float:
        """The largest logit."""
        return max(float(np.abs(logits).max()) for logits in self.logits)

    def without_flat(self) -> "Reference":
        """Return the same without frames of one colour, whose labels int8 may change all at once."""
        kept = [place for place, (name, _) in enumerate(self.frames) if name not in FLAT]
        return Reference([self.frames[place] for place in kept], [self.logits[place] for place in kept])

    @property
    def golden(self) -> tuple[Frame, Labels]:
        """The first frame, and torch's labels for it."""
        return self.frames[0][1], self.logits[0].argmax(-1).astype(np.uint8)


@dataclass(frozen=True, slots=True)
class Difference:
    """The difference of one artifact's outputs from torch's over all frames, and the session that executed them."""

    frames: int
    largest: float | None  # over all logits; None for labels
    within: float | None  # share of pixels whose logits are as the thresholds allow; None for labels
    allowed: float  # difference of logits
    scale: float  # the largest logit of torch
    agreement: float  # share of pixels labelled alike
    worst_agreement: float  # of a single frame
    golden: Labels  # what the artifact made of the golden frame
    session: Mapping[str, Any]


def scene_frame(preprocess: Preprocess, seed: int = 0) -> Frame:
    """Draw a street scene half again as large as the network's input, so that resizing is part of what is compared."""
    return render((0x5E6, seed), (preprocess.height * 3 // 2, preprocess.width * 3 // 2))[0]


def parity_frames(golden: Frame, preprocess: Preprocess, *, flat: bool = True) -> list[NamedFrame]:
    """Return the golden frame and others that differ: scenes, noise over all values, and near either end of them.

    ``flat`` adds frames of one colour. Pooling with indices would choose between equal values there, which rounding
    decides.
    """
    rng = np.random.default_rng(0)
    height, width = preprocess.size
    return [
        (GOLDEN, golden),
        *((f"scene{seed}", scene_frame(preprocess, seed)) for seed in (1, 2)),
        ("noise", rng.integers(0, 256, (height, width, 3), np.uint8)),
        ("dark", rng.integers(0, 16, (height, width, 3), np.uint8)),
        ("bright", rng.integers(240, 256, (height, width, 3), np.uint8)),
        *((name, np.full((height, width, 3), colour, np.uint8)) for name, colour in FLAT.items() if flat),
    ]


def difference(artifact: Path, expected: Reference, thresholds: Thresholds) -> Difference:
    """Run an artifact in a fresh device process and compare every frame.

    Raises:
        TargetError: the runtime is missing, or the process failed.
    """
    allowed = thresholds.logits * expected.scale
    largest: list[float] = []
    within: list[float] = []
    alike: list[float] = []
    golden: Labels | None = None
    with contextlib.closing(outputs(artifact, expected.frames)) as results:
        for raw, logits in zip(results, expected.logits, strict=True):
            is_logits = raw.ndim == 4
            labels = raw[0].argmax(-1) if is_logits else raw[0]
            golden = labels.astype(np.uint8) if golden is None else golden
            alike.append(float(np.mean(labels == logits.argmax(-1))))
            if is_logits:
                off = np.abs(raw[0] - logits).max(-1)  # NaN stays NaN, and is not within
                largest.append(float(off.max()))
                within.append(float(np.mean(off <= allowed)))
    assert golden is not None
    return Difference(
        frames=len(alike),
        largest=float(np.max(largest)) if largest else None,
        within=float(np.mean(within)) if within else None,
        allowed=allowed,
        scale=expected.scale,
        agreement=float(np.mean(alike)),
        worst_agreement=min(alike),
        golden=golden,
        session=results.session,
    )


def judge(format_name: str, labels: Difference, logits: Difference, thresholds: Thresholds) -> dict[str, Any]:
    """Return the record for the manifest; ``labels`` is of the artifact itself, ``logits`` of the same with scores.

    Raises:
        ParityError: a threshold is not met; the message gives both figures.
    """
    assert logits.largest is not None
    assert logits.within is not None
    if logits.within < thresholds.within or labels.worst_agreement < thresholds.labels:
        share = "" if thresholds.within == 1 else f" on {1 - logits.within:.1%} of pixels"
        raise ParityError(
            f"the {format_name} model does not compute what torch computes: logits differ by"
            f" {logits.largest:.3g}{share} (allowed {logits.allowed:.3g}) and {labels.worst_agreement:.3%} of labels"
            f" agree in the worst frame (needed {thresholds.labels:.1%}), over {labels.frames} frames executed in"
            f" {labels.session['executed_precision']}. No artifact was written"
        )
    return agreement(labels) | {
        "logits_max_abs_diff": logits.largest,
        "logits_max_abs": logits.scale,
        "pixels_within": logits.within,
        "thresholds": {
            "logits_max_abs_diff": logits.allowed,
            "pixels_within": thresholds.within,
            "label_agreement": thresholds.labels,
        },
    }


def agreement(labels: Difference) -> dict[str, Any]:
    """Return what ran, in which precision, layer by layer if the runtime reports it, and how many labels agree."""
    layers = {key: labels.session[key] for key in ("layer_precisions", "executed_layers") if key in labels.session}
    return {
        "frames": labels.frames,
        "runtime": labels.session["engine"],
        "executed_precision": labels.session["executed_precision"],
        **layers,
        "versions": dict(labels.session["versions"]),
        "label_agreement": labels.agreement,
        "label_agreement_worst_frame": labels.worst_agreement,
    }
