"""Any machine, no runtime: every artifact runs through the engine of the same name."""

from pathlib import Path

from targets.common.descriptor import Target


def _anywhere(_: Path) -> bool:
    return True


TARGET = Target(
    name="null",
    description="no runtime; labels from the pixels, for tests",
    machine="",
    is_here=_anywhere,
    only_engine="null",
)
