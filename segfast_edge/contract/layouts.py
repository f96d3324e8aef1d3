"""Frames in the form that a model takes them, and logits in the form that everything here reads: channels last."""

from dataclasses import replace

import numpy as np

from segfast_edge.contract.manifest import TensorSpec
from segfast_edge.contract.masks import RawOutput
from segfast_edge.contract.shared.images import Frame

PLANES = "NCHW"  # the layout with channels before height and width


def fed(frames: Frame, wanted: TensorSpec) -> RawOutput:
    """Return uint8 frames N x H x W x 3 as a model takes them; as float32 they still are from 0 to 255."""
    moved = frames.transpose(0, 3, 1, 2) if wanted.layout == PLANES else frames
    return np.ascontiguousarray(moved, dtype=wanted.dtype)


def channels_last(raw: RawOutput, given: TensorSpec) -> RawOutput:
    """Return what a model gives, its logits as N x H x W x classes."""
    return np.ascontiguousarray(raw.transpose(0, 2, 3, 1)) if given.layout == PLANES else raw


def read_as(given: TensorSpec) -> TensorSpec:
    """Return what ``channels_last`` makes of an output."""
    if given.layout != PLANES:
        return given
    n, channels, height, width = given.shape
    return replace(given, shape=(n, height, width, channels), layout="NHWC")
