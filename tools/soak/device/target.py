"""The target of the soak: this machine, through the engine that fails when it is told to."""

from pathlib import Path

from segfast_edge.contract.manifest import MODEL_FILES
from targets.common.target import Target


def _anywhere(_: Path) -> bool:
    return True


TARGET = Target("soak", "this machine, failing on request", dict.fromkeys(MODEL_FILES, ("soak",)), _anywhere)
