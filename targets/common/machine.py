"""Facts about this machine for the report. ``root`` is ``/`` except in tests."""

import os
import platform
import time
from pathlib import Path
from typing import Any

from targets.common import board_kind, cgroups
from targets.common.sensors import frequency_limit_mhz, power_mode, read
from targets.common.session import usable_cores

# Implementer and part as in Linux's arch/arm64/include/asm/cputype.h, of the boards that one may meet
_ARM_CORES = {
    ("0x41", "0xd03"): "Cortex-A53",
    ("0x41", "0xd05"): "Cortex-A55",
    ("0x41", "0xd07"): "Cortex-A57",
    ("0x41", "0xd08"): "Cortex-A72",
    ("0x41", "0xd0a"): "Cortex-A75",
    ("0x41", "0xd0b"): "Cortex-A76",
    ("0x41", "0xd0c"): "Neoverse-N1",
    ("0x41", "0xd40"): "Neoverse-V1",
    ("0x41", "0xd41"): "Cortex-A78",
    ("0x41", "0xd42"): "Cortex-A78AE",
    ("0x41", "0xd49"): "Neoverse-N2",
    ("0x4e", "0x003"): "Denver 2",
    ("0x4e", "0x004"): "Carmel",
}


def describe(root: Path) -> dict[str, Any]:
    """Return processor, cores, memory, board, system and Python."""
    return {
        "architecture": platform.machine(),
        "processor": _processor(root),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(root),
        "cpuset": cgroups.cpuset(root),
        "cpu_quota_cores": cgroups.quota_cores(root),
        "frequency_limit_mhz": frequency_limit_mhz(root),
        "memory_bytes": _memory(root),
        "board": board_kind.model(root),
        "power_mode": power_mode(root),
        "system": _system(root),
        "kernel": platform.release(),
        "c_library": " ".join(platform.libc_ver()),
        "python": platform.python_version(),
    }


def process_age_ms() -> float | None:
    """Return the time since this process was started, to 10 ms as the kernel notes starts; None if it does not."""
    try:
        started_ticks = int(Path("/proc/self/stat").read_text(encoding="ascii").rpartition(")")[2].split()[19])
        now_s = time.clock_gettime(time.CLOCK_BOOTTIME)
    except (OSError, ValueError, IndexError):
        return None
    age_ms = 1000 * (now_s - started_ticks / os.sysconf("SC_CLK_TCK"))
    return age_ms if started_ticks > 0 and age_ms > 0 else None


def _fields(root: Path, name: str, separator: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in (read(root / name) or "").splitlines():
        key, _, value = line.partition(separator)
        fields.setdefault(key.strip(), value.strip().strip('"'))
    return fields


def _processor(root: Path) -> str | None:
    fields = _fields(root, "proc/cpuinfo", ":")
    if "model name" in fields:
        return fields["model name"]
    if "CPU part" not in fields:
        return None
    # ARM gives numbers: who implemented it, and the core's design
    numbers = (fields.get("CPU implementer", ""), fields["CPU part"])
    return f"ARM {_ARM_CORES.get(numbers) or f'{numbers[0]} part {numbers[1]}'}"


def _memory(root: Path) -> int | None:
    total = _fields(root, "proc/meminfo", ":").get("MemTotal")
    return int(total.split()[0]) * 1024 if total else None


def _system(root: Path) -> str:
    return _fields(root, "etc/os-release", "=").get("PRETTY_NAME") or platform.system()
