"""The target of the soak: this machine, through the engine that fails when it is told to."""

from pathlib import Path

from targets.common.descriptor import Target


def _anywhere(_: Path) -> bool:
    return True


TARGET = Target("soak", "this machine, failing on request", machine="", is_here=_anywhere, only_engine="soak")
