"""Overlays for people: the mask in colours over the frame."""

import numpy as np
from PIL import Image

from segfast_edge.contract.masks import mask_at
from segfast_edge.contract.overlay import overlay
from segfast_edge.contract.shared.images import Frame
from targets.runner.frames import Result


def painted(result: Result, max_width: int) -> Frame:
    """Return the overlay at the frame's own shape, at most ``max_width`` pixels wide."""
    assert result.picture is not None, "this output's wants_frame is off"
    height, width = result.mask.shape
    wide = min(width, max_width)
    size = max(1, round(height * wide / width)), wide
    pixels = np.asarray(result.picture.resize((size[1], size[0]), Image.Resampling.BILINEAR))
    mask = result.mask if result.mask.shape == size else mask_at(result.labels, size)
    return overlay(pixels, mask, result.classes)
