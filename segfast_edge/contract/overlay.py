"""A mask in its classes' colours, alone and over its frame."""

import numpy as np

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.preprocess import check_frame
from segfast_edge.contract.shared.images import Frame, Labels
from segfast_edge.errors import DataError

VIEWS = ("mask", "colour", "overlay")


def colour_table(classes: ClassSet) -> np.ndarray:
    """Return 256 x 3 uint8: a colour per label value, black if no class has it."""
    table = np.zeros((256, 3), np.uint8)
    table[: len(classes)] = classes.palette
    return table


def colour_mask(mask: Labels, classes: ClassSet) -> Frame:
    """Paint a mask, uint8 height x width, in the classes' colours: uint8 height x width x 3."""
    return np.asarray(colour_table(classes)[mask])


def overlay(frame: Frame, mask: Labels, classes: ClassSet, opacity: float = 0.5) -> Frame:
    """Blend the coloured mask over its frame; both have the same height and width."""
    check_frame(frame)
    if mask.shape != frame.shape[:2]:
        raise DataError(f"mask is {mask.shape} and frame {frame.shape[:2]}; bring the mask to the frame's size first")
    if not 0.0 <= opacity <= 1.0:
        raise DataError(f"opacity {opacity} is outside 0 to 1")
    weight = round(opacity * 256)
    blended = frame.astype(np.uint16) * (256 - weight) + colour_mask(mask, classes).astype(np.uint16) * weight
    return np.asarray(blended >> 8, dtype=np.uint8)


def view(kind: str, frame: Frame, mask: Labels, classes: ClassSet, *, opacity: float = 0.5) -> Frame | Labels:
    """Return one of ``VIEWS`` of a result: class ids, classes in their colours, or those over the frame."""
    if kind == "mask":
        return mask
    return colour_mask(mask, classes) if kind == "colour" else overlay(frame, mask, classes, opacity)
