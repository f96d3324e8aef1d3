"""The newest mask in shared memory, as another process reads it while the runner is there."""

import contextlib
import os
from pathlib import Path

import numpy as np

from targets.runner.shared_mask import MaskReader

WHILE_OPEN = True


@contextlib.contextmanager
def opened(_):
    name = f"segfast-example-{os.getpid()}"

    def check(result, _):
        reader = MaskReader(name)
        try:
            assert np.array_equal(reader.read().mask, result.mask)
        finally:
            reader.close()

    try:
        yield f"shm:{name}", None, check
    finally:
        Path("/dev/shm", name).unlink(missing_ok=True)
