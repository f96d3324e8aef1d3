"""Any other 64-bit ARM board with Linux, such as a Rock 5. Its usual system is Debian 12."""

import platform
from pathlib import Path

from segfast_edge.contract.engines import ARM64
from targets.common import board_kind
from targets.common.descriptor import System, Target, target, targets


def _is_here(root: Path) -> bool:
    """Say whether the processor is a 64-bit ARM and no other target knows the board."""
    others = [each for name in targets() if (each := target(name)) is not TARGET and each.machine == ARM64]
    return platform.machine().lower() in board_kind.ARM64 and not any(each.is_here(root) for each in others)


TARGET = Target(
    name="arm64",
    description="64-bit ARM board",
    machine=ARM64,
    is_here=_is_here,
    usual=System(python=(3, 11), glibc=(2, 36)),
)
