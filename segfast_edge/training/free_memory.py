"""The memory that this process can still use, of the machine and of its container."""

import os
from collections.abc import Iterator
from pathlib import Path

_V2, _V1 = Path("sys/fs/cgroup"), Path("sys/fs/cgroup/memory")


def free_bytes(root: Path = Path("/")) -> float:
    """Return the smaller of what the machine can give and what each enclosing cgroup still allows.

    Memory that only caches files counts as free in both. Systems without /proc give half of all their memory.
    """
    return min(_of_machine(root), *_of_cgroups(root), float("inf"))


def _of_machine(root: Path) -> float:
    try:
        lines = (root / "proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(1024.0 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))
    except (OSError, ValueError, StopIteration):
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2


def _of_cgroups(root: Path) -> Iterator[float]:
    """Give what is left in the process's cgroup and in each above it; those without limit give nothing."""
    for base, limit, usage, cached in (
        (root / _V2, "memory.max", "memory.current", "inactive_file"),
        (root / _V1, "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        for folder in _enclosing(root, base):
            try:
                most, used = (int((folder / name).read_text(encoding="ascii")) for name in (limit, usage))
                yield float(max(0, most - used + _stat(folder, cached)))
            except (OSError, ValueError):  # "max" is no number, and the topmost folder has no limit
                continue


def _enclosing(root: Path, base: Path) -> Iterator[Path]:
    """Give the process's folder below ``base`` and those above it; inside a container ``base`` may be its own."""
    try:
        lines = (root / "proc/self/cgroup").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    version = "memory" if base.name == "memory" else ""
    own = next((line.split(":", 2)[2] for line in lines if version in line.split(":", 2)[1].split(",")), "/")
    folder = base / own.strip("/")
    while folder != base and base in folder.parents:
        yield folder
        folder = folder.parent
    yield base


def _stat(folder: Path, name: str) -> int:
    try:
        lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) for line in lines if line.split()[0] == name)
    except (OSError, ValueError, IndexError, StopIteration):
        return 0
