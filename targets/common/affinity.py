"""Pinning a process to cores: to those that are named, or to a board's big or little ones."""

import os
from pathlib import Path

from segfast_edge.contract.profile_options import BIG, LITTLE, core_numbers
from segfast_edge.errors import TargetError
from targets.common.sensors import read

_CORES = "sys/devices/system/cpu"
# Linux's scale of a core's power, known on ARM, and else its highest clock
_POWERS = ("cpu_capacity", "cpufreq/cpuinfo_max_freq")


def pin(wish: str, root: Path) -> None:
    """Restrict this process, and the threads that it starts from now on, to cores; nothing to do without a wish.

    Raises:
        TargetError: a core is missing or not allowed, or all cores are alike and big or little ones are asked for.
    """
    if not wish:
        return
    allowed = os.sched_getaffinity(0)
    cores = _of_power(wish, sorted(allowed), root) if wish in (BIG, LITTLE) else core_numbers(wish)
    missing = sorted(cores - allowed)
    if missing:
        raise TargetError(
            f"--pin {wish}: this process may not run on core {missing[0]}; it may on"
            f" {', '.join(map(str, sorted(allowed)))}"
        )
    os.sched_setaffinity(0, cores)


def _of_power(wish: str, allowed: list[int], root: Path) -> set[int]:
    """Return the allowed cores of the highest or the lowest power."""
    for name in _POWERS:
        texts = {core: read(root / _CORES / f"cpu{core}" / name) for core in allowed}
        powers = {core: int(text) for core, text in texts.items() if text is not None and text.isdigit()}
        if len(set(powers.values())) > 1:
            chosen = max(powers.values()) if wish == BIG else min(powers.values())
            return {core for core, power in powers.items() if power == chosen}
    raise TargetError(
        f"--pin {wish}: this computer's cores are alike, or their power is unknown; name some, such as 0-1"
    )
