"""A folder with three pictures."""

import contextlib

import tiny_artifacts as tiny

from segfast_edge.contract.shared.images import write_picture
from targets.runner.inputs import InputOptions


@contextlib.contextmanager
def opened(folder):
    frame = tiny.frame(48, 64)
    for name in "abc":
        write_picture(folder / f"{name}.png", frame)
    yield str(folder), InputOptions(), (48, 64), frame
