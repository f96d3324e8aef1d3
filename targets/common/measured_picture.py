"""The picture that a measurement runs on."""

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from segfast_edge.contract.manifest import GOLDEN_FRAME, Manifest
from segfast_edge.contract.profile_options import ProfileOptions
from segfast_edge.contract.shared.images import write_picture

_DRAWN_FRAME = (720, 1280)  # height and width, where the artifact has no golden frame and the plan names no picture


@contextlib.contextmanager
def measured_picture(artifact: Path, manifest: Manifest, plan: ProfileOptions) -> Iterator[Path]:
    """Give the plan's picture, else the artifact's golden frame, else a drawn one."""
    if plan.input:
        yield Path(plan.input)
    elif GOLDEN_FRAME in manifest.files:
        yield artifact / GOLDEN_FRAME
    else:
        with tempfile.TemporaryDirectory(prefix="segfast-frame-") as folder:
            path = Path(folder) / "drawn.png"
            frame = np.empty((*_DRAWN_FRAME, 3), np.uint8)
            frame[:] = np.arange(_DRAWN_FRAME[1], dtype=np.uint16).astype(np.uint8)[:, np.newaxis]
            write_picture(path, frame)
            yield path
