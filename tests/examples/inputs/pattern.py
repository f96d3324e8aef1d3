"""The drawn test pattern; what it shows is its own affair."""

import contextlib

from targets.runner.inputs import InputOptions


@contextlib.contextmanager
def opened(_):
    yield "test:64x48", InputOptions(rate=200), (48, 64), None
