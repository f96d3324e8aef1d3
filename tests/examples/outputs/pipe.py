"""Masks down a pipe."""

import contextlib
import io
import os

import numpy as np
from PIL import Image


@contextlib.contextmanager
def opened(_):
    read_end, write_end = os.pipe()
    os.set_blocking(read_end, False)

    def check(result, _):
        with Image.open(io.BytesIO(os.read(read_end, 65536))) as picture:
            assert np.array_equal(np.asarray(picture), result.mask)

    try:
        yield "pipe:-", write_end, check
    finally:
        os.close(read_end)
        os.close(write_end)
