"""What this machine is, for the report. ``root`` is ``/`` in earnest."""

import os
import platform
import time
from pathlib import Path
from typing import Any

from targets.common import board
from targets.common.sensors import frequency_limit_mhz, power_mode, read
from targets.common.session import usable_cores


def describe(root: Path) -> dict[str, Any]:
    """Return processor, cores, memory, board, system and Python."""
    return {
        "architecture": platform.machine(),
        "processor": _processor(root),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "frequency_limit_mhz": frequency_limit_mhz(root),
        "memory_bytes": _memory(root),
        "board": board.model(root),
        "power_mode": power_mode(root),
        "system": _system(root),
        "kernel": platform.release(),
        "c_library": " ".join(platform.libc_ver()),
        "python": platform.python_version(),
    }


def process_age_ms() -> float | None:
    """Return the time since this process was started, to 10 ms as the kernel notes starts; None where it does not."""
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
    # ARM gives numbers: implementer 0x41 is Arm, the part is the core's design
    return f"ARM {fields.get('CPU implementer')} part {fields['CPU part']}" if "CPU part" in fields else None


def _memory(root: Path) -> int | None:
    total = _fields(root, "proc/meminfo", ":").get("MemTotal")
    return int(total.split()[0]) * 1024 if total else None


def _system(root: Path) -> str:
    return _fields(root, "etc/os-release", "=").get("PRETTY_NAME") or platform.system()
