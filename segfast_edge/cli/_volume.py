"""How much a verb says on standard error: ``--quiet`` and ``--verbose``. Standard library only."""

import argparse
import contextlib
import logging
import sys
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(slots=True)
class Volume:
    """Whether progress is shown, and whether an error shows its traceback."""

    quiet: bool = False
    verbose: bool = False


volume = Volume()


def volume_options(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    group = parser.add_argument_group("what is said on standard error").add_mutually_exclusive_group()
    group.add_argument("-q", "--quiet", action="store_true", help="show no progress; errors and results remain")
    group.add_argument("-v", "--verbose", action="store_true", help="show the log, and the traceback of an error")


@contextlib.contextmanager
def set_volume(args: argparse.Namespace) -> Iterator[None]:
    """Say as much as was asked for while the block runs."""
    volume.quiet, volume.verbose = getattr(args, "quiet", False), getattr(args, "verbose", False)
    logger, handler = logging.getLogger("segfast_edge"), logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    before = logger.level
    if volume.verbose:
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
