"""Overlays in a folder."""

import contextlib

import numpy as np
from PIL import Image

from segfast_edge.contract.overlay import overlay


@contextlib.contextmanager
def opened(folder):
    def check(result, _):
        painted = overlay(np.asarray(result.picture), result.mask, result.classes)
        with Image.open(folder / f"{result.name}.overlay.jpg") as picture:
            seen = np.asarray(picture).astype(float)
        # nearer to the frame with its mask than to the frame alone; JPEG blurs the edges of this one
        assert np.abs(seen - painted).mean() < np.abs(seen - np.asarray(result.picture)).mean() / 3

    yield f"overlays:{folder}", None, check
