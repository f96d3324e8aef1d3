"""Detects doubtful pictures (frozen, black, overexposed, covered) by cheap checks of each frame.

No look is sure. Of CamVid's 468 day pictures none is doubtful; with a half covered by a dark, noisy surface 85 to 100 %
of them are, whichever half. A cover that is not dark, dirt, a blurred or turned camera are not seen.
"""

import logging
import zlib
from collections import Counter

import numpy as np

from segfast_edge.contract.shared.images import Frame
from targets.runner.decoding import Encoded
from targets.runner.frames import Payload, Pixels, now_ns

log = logging.getLogger("segfast.runner")

FROZEN, BLACK, OVEREXPOSED, COVERED = "frozen", "black", "overexposed", "covered"
DOUBTS = (FROZEN, BLACK, OVEREXPOSED, COVERED)
FROZEN_S, FROZEN_FRAMES = 1.0, 5  # a slow sensor behind a fast stream repeats frames, but not for so long
_SIDE = 56  # of what is looked at; enough for light and coarse texture, and a few microseconds
_CELLS = 8
_DARK, _WHITE = 20, 250  # 16 is what a black frame of limited range has


class PictureJudge:
    """Looks at each frame in turn; ``withhold`` says what a camera must not show for longer than ``patience_s``."""

    def __init__(self, *, camera: bool, patience_s: float) -> None:
        self._camera = camera
        self._patience_s = patience_s
        self._fingerprint: int | None = None
        self._repeats = 0
        self._changed_ns = 0
        self._since_ns = 0
        self.doubt = ""
        self.counts: Counter[str] = Counter()

    def look(self, payload: Payload, batch: Frame) -> str:
        """Return what makes a frame doubtful, "" for nothing; ``batch`` is uint8 height x width x 3."""
        frozen = self._camera and self._frozen(payload)
        doubt = doubt_of(batch) or (FROZEN if frozen else "")  # a black picture is black, frozen or not
        if doubt != self.doubt:
            if doubt:
                log.warning("the picture is %s", doubt)
            else:
                log.info("the picture is no longer %s", self.doubt)
            self.doubt, self._since_ns = doubt, self._changed_ns if doubt == FROZEN else now_ns()
        self.counts.update([doubt] if doubt else [])
        return doubt

    @property
    def withheld(self) -> str:
        """Why a camera's frames are withheld, in words; "" while they are not. A cover is a guess and only marked."""
        if not self._camera or self.doubt not in (FROZEN, BLACK, OVEREXPOSED):
            return ""
        lasting = now_ns() - self._since_ns > self._patience_s * 1e9
        return f"the picture has been {self.doubt} for over {self._patience_s:g} s" if lasting else ""

    def _frozen(self, payload: Payload) -> bool:
        """Say whether the camera has given the same bytes for long: no sensor is that free of noise."""
        fingerprint = _fingerprint(payload)
        if fingerprint is None or fingerprint != self._fingerprint:
            self._fingerprint, self._repeats, self._changed_ns = fingerprint, 0, now_ns()
            return False
        self._repeats += 1
        return self._repeats >= FROZEN_FRAMES and now_ns() - self._changed_ns > FROZEN_S * 1e9


def _fingerprint(payload: Payload) -> int | None:
    if isinstance(payload, Encoded):
        return zlib.crc32(payload.data)
    if isinstance(payload, Pixels):
        return zlib.crc32(payload.frame[::8].tobytes())
    return None


def doubt_of(frame: Frame) -> str:
    """Look at one picture alone, uint8 height x width x 3."""
    step = max(1, min(frame.shape[:2]) // _SIDE)
    small = frame[::step, ::step]
    red, green, blue = (small[..., channel] for channel in range(3))
    if np.mean(np.maximum(np.maximum(red, green), blue) <= _DARK) >= 0.99:
        return BLACK
    if np.mean(np.minimum(np.minimum(red, green), blue) >= _WHITE) >= 0.9:
        return OVEREXPOSED
    return COVERED if _covered(green) else ""


def _covered(light: Frame) -> bool:
    """Say whether a third or more is dark and without any texture while the rest is much lighter."""
    height, width = (side // _CELLS for side in light.shape)
    if min(height, width) < 2:
        return False
    cells = light[: height * _CELLS, : width * _CELLS].reshape(_CELLS, height, _CELLS, width).astype(np.float32)
    mean, spread = cells.mean(axis=(1, 3)), cells.std(axis=(1, 3))
    dark = (mean < 32) & (spread < 4)
    if dark.mean() < 0.3 or dark.all():
        return False
    return bool(np.median(mean[~dark]) > max(30.0, 2 * float(mean[dark].mean())))
