"""Control groups: which cores a container or service may use, how much of them, and whether it was held back.

Both versions of the interface are read, and every group above this process's own: the tightest limit holds.
"""

import math
from collections.abc import Iterator
from pathlib import Path

from targets.common.sensors import read

_MOUNT = "sys/fs/cgroup"


def _folders(root: Path, controller: str) -> Iterator[Path]:
    """Yield the folder of this process's group of a controller, and those above it."""
    for line in (read(root / "proc/self/cgroup") or "").splitlines():
        number, names, path = (*line.split(":", 2), "", "")[:3]
        if number == "0" and not names:
            mounts = [root / _MOUNT, root / _MOUNT / "unified"]
        elif controller in names.split(","):
            mounts = [root / _MOUNT / names, root / _MOUNT / controller]
        else:
            continue
        for mount in mounts:
            # in a container, the path may be one of the host's; what the container sees then lies at the mount
            inside = [mount / path.lstrip("/"), *(mount / path.lstrip("/")).parents]
            yield from (each for each in inside if each.is_relative_to(mount) and each.is_dir())


def quota_cores(root: Path) -> float | None:
    """Return how many cores' worth of time this process's groups may use; None without a limit."""
    limits = [limit for folder in _folders(root, "cpu") if (limit := _limit(folder)) is not None]
    return min(limits, default=None)


def _limit(folder: Path) -> float | None:
    text = read(folder / "cpu.max")
    if text is None:
        text = f"{read(folder / 'cpu.cfs_quota_us') or 'max'} {read(folder / 'cpu.cfs_period_us') or ''}"
    quota, _, period = text.partition(" ")
    try:
        limit = int(quota) / int(period)
    except (ValueError, ZeroDivisionError):  # "max 100000"
        return None
    return limit if limit > 0 else None  # -1 of version 1: no limit


def throttled_count(root: Path) -> int:
    """Return how often this process's groups have used up their quota and were held back."""
    counts = {folder: _throttled(folder) for folder in _folders(root, "cpu")}
    return sum(counts.values())


def _throttled(folder: Path) -> int:
    for line in (read(folder / "cpu.stat") or "").splitlines():
        name, _, value = line.partition(" ")
        if name == "nr_throttled" and value.isdigit():
            return int(value)
    return 0


def cpuset(root: Path) -> str | None:
    """Return the cores that this process's group may use, as the kernel writes them (``0-3``)."""
    for folder in _folders(root, "cpuset"):
        for name in ("cpuset.cpus.effective", "cpuset.effective_cpus"):
            if text := read(folder / name):
                return text
    return None


def whole_cores(quota: float | None, cores: int) -> int:
    """Return how many threads can run all the time on ``cores`` cores under a quota; at least one."""
    return cores if quota is None else max(1, min(cores, math.floor(quota)))
