"""Any machine, no runtime: every artifact runs through the null engine."""

from pathlib import Path

from segfast_edge.contract.manifest import MODEL_FILES
from targets.common.target import Target


def _anywhere(_: Path) -> bool:
    return True


TARGET = Target(
    name="null",
    description="no runtime; labels from the pixels, for tests",
    engines=dict.fromkeys(MODEL_FILES, ("null",)),
    is_here=_anywhere,
)
