"""Masks in a folder."""

import contextlib

import numpy as np
from PIL import Image


@contextlib.contextmanager
def opened(folder):
    def check(result, _):
        with Image.open(folder / f"{result.name}.mask.png") as picture:
            assert np.array_equal(np.asarray(picture), result.mask)

    yield f"masks:{folder}", None, check
