"""A board's sensors: clocks, temperature, throttling, power. ``root`` is ``/`` except in tests.

Every reading is None, or empty, where the board has no such sensor.
"""

import statistics
import subprocess
from pathlib import Path

_TOOL_FOLDERS = ("usr/bin", "usr/sbin", "opt/vc/bin")
_TOOL_PATIENCE_S = 5.0

# Raspberry Pi firmware flags: what is the case now, and sixteen bits above it what was since boot
_PI_FLAGS = {0: "under-voltage", 1: "frequency capped", 2: "throttled", 3: "soft temperature limit"}
_SINCE_BOOT = 16

_PC_SENSORS = ("coretemp", "k10temp", "zenpower")  # Intel's, AMD's, and another driver for AMD's

# The Jetson GPU's files: JetPack 6 calls it gpu, those before call it by the chip
_GPU_NAMES = ("gpu", "ga10b", "gv11b", "gp10b")
_GPU_LOADS = ("sys/devices/platform/*/load", "sys/class/devfreq/*/device/load")


def read(path: Path) -> str | None:
    """Return a file's text without surrounding space, or None if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0 \n\t")
    except OSError:
        return None


def _integer(path: Path) -> int | None:
    text = read(path)
    try:
        return None if text is None else int(text)
    except ValueError:
        return None


def _integers(root: Path, pattern: str) -> list[int]:
    return [value for path in sorted(root.glob(pattern)) if (value := _integer(path)) is not None]


def tool(root: Path, name: str, *words: str) -> str | None:
    """Return what a system tool prints, or None if there is no such tool or it fails."""
    path = next((root / folder / name for folder in _TOOL_FOLDERS if (root / folder / name).is_file()), None)
    if path is None:
        return None
    try:
        done = subprocess.run([path, *words], capture_output=True, text=True, timeout=_TOOL_PATIENCE_S, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def governors(root: Path) -> list[str]:
    """Return the frequency governors in use."""
    found = {read(path) for path in root.glob("sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_governor")}
    return sorted(name for name in found if name)


def frequency_mhz(root: Path) -> float | None:
    """Return the mean clock of the cores now, from cpufreq or else from /proc/cpuinfo."""
    clocks = [kilohertz / 1000 for kilohertz in _integers(root, "sys/devices/system/cpu/cpu*/cpufreq/scaling_cur_freq")]
    if not clocks:
        lines = (read(root / "proc/cpuinfo") or "").splitlines()
        clocks = [float(line.partition(":")[2]) for line in lines if line.startswith("cpu MHz")]
    return statistics.fmean(clocks) if clocks else None


def frequency_limit_mhz(root: Path) -> float | None:
    """Return the highest clock that the fastest core can have."""
    limits = _integers(root, "sys/devices/system/cpu/cpu*/cpufreq/cpuinfo_max_freq")
    return max(limits) / 1000 if limits else None


def temperature_c(root: Path) -> float | None:
    """Return the hottest reading of a PC processor's own sensor, else the hottest thermal zone, in degrees Celsius."""
    chips = [each.parent.name for each in root.glob("sys/class/hwmon/hwmon*/name") if read(each) in _PC_SENSORS]
    own = [value for chip in chips for value in _integers(root, f"sys/class/hwmon/{chip}/temp*_input")]
    zones = _integers(root, "sys/class/thermal/thermal_zone*/temp")
    # an absent sensor reads 0 or far below freezing on several boards; a PC's zones may be anywhere in its case
    return next((max(good) for values in (own, zones) if (good := _plausible(values))), None)


def _plausible(millidegrees: list[int]) -> list[float]:
    return [value / 1000 for value in millidegrees if 0 < value < 150_000]


def pi_flags(root: Path) -> int | None:
    """Return the Raspberry Pi firmware's throttling word: from the kernel's file, else from ``vcgencmd``."""
    text = read(root / "sys/devices/platform/soc/soc:firmware/get_throttled")
    if text is None:
        text = (tool(root, "vcgencmd", "get_throttled") or "").partition("=")[2]
    try:
        return int(text, 16)
    except ValueError:
        return None


def flag_names(word: int) -> list[str]:
    """Return what the low bits of a throttling word mean."""
    return [name for bit, name in _PI_FLAGS.items() if word >> bit & 1]


def new_since(start: int, end: int) -> list[str]:
    """Return what happened between two throttling words by their since-boot bits."""
    return flag_names((end & ~start) >> _SINCE_BOOT)


def alarms(root: Path) -> list[str]:
    """Return what is throttling at this moment, by the files of each kind of board."""
    found = flag_names(pi_flags(root) or 0)
    if any(_integers(root, "sys/class/hwmon/hwmon*/in0_lcrit_alarm")):
        found.append("under-voltage")
    for device in root.glob("sys/class/thermal/cooling_device*"):
        kind = read(device / "type") or ""
        if "throttle-alert" in kind and _integer(device / "cur_state"):  # Jetson
            found.append(kind)
    return sorted(set(found))


def event_counts(root: Path) -> dict[str, int]:
    """Return counters that only rise when something throttles: x86 thermal events, Jetson over-current events."""
    thermal = sum(_integers(root, "sys/devices/system/cpu/cpu*/thermal_throttle/core_throttle_count"))
    current = sum(_integers(root, "sys/class/hwmon/hwmon*/oc*_event_cnt"))
    return {"thermal throttling": thermal, "over-current throttling": current}


def battery(root: Path) -> str | None:
    """Return the battery's status, for example ``Discharging``."""
    for supply in sorted(root.glob("sys/class/power_supply/*")):
        if read(supply / "type") == "Battery" and read(supply / "scope") != "Device":
            return read(supply / "status")
    return None


def power_mode(root: Path) -> str | None:
    """Return the Jetson's power mode as nvpmodel names it."""
    for line in (tool(root, "nvpmodel", "-q") or "").splitlines():
        if "Power Mode" in line:
            return line.partition(":")[2].strip()
    return None


def gpu_load(root: Path) -> tuple[str, float] | None:
    """Return the Jetson GPU's load from 0 to 1 and the file that it was read from."""
    more = [name for pattern in _GPU_LOADS for name in sorted(_relative(root, pattern))]
    for name in ("sys/devices/gpu.0/load", *more):
        value = _integer(root / name)
        if value is not None and _names_gpu(name):
            return f"/{name}", value / 1000
    return None


def gpu_frequency_mhz(root: Path) -> float | None:
    """Return the Jetson GPU's clock now."""
    hertz = [_integer(path) for path in root.glob("sys/class/devfreq/*/cur_freq") if _names_gpu(path.parent.name)]
    known = [value for value in hertz if value is not None]
    return max(known) / 1e6 if known else None


def _names_gpu(name: str) -> bool:
    return any(part in name for part in _GPU_NAMES)


def _relative(root: Path, pattern: str) -> list[str]:
    return [str(path.relative_to(root)) for path in root.glob(pattern)]
