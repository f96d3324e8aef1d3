"""The drawn test pattern; what it shows is its own affair."""

import contextlib

from targets.runner.inputs import SourceOptions


@contextlib.contextmanager
def opened(_):
    yield "test:64x48", SourceOptions(rate=200), (48, 64), None
