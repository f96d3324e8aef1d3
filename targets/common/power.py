"""Power and energy sensors. ``root`` is ``/`` except in tests; None if a board has none or keeps it from users."""

import re
from pathlib import Path

from targets.common.sensors import read, tool

# The rail that feeds everything, by the names the Jetson modules give it
_INPUT_RAILS = ("VDD_IN", "POM_5V_IN", "VIN_SYS_5V0", "VIN")
_HWMON = "sys/bus/i2c/drivers/ina3221/*-004*/hwmon/hwmon*"
_IIO = "sys/bus/i2c/drivers/ina3221x/*-004*/iio:device*"  # JetPack 4
_PI_LINE = re.compile(r"^\s*(\w+)_([AV]) (?:current|volt)\(\d+\)=([0-9.]+)[AV]$", re.MULTILINE)


def rails_w(root: Path) -> dict[str, float]:
    """Return the watts of each rail of a Jetson's INA3221 monitors, or of a Pi 5's power chip."""
    return _hwmon_rails(root) or _iio_rails(root) or _pi_rails(root)


def total_w(rails: dict[str, float]) -> float | None:
    """Return the whole board's watts: the input rail if there is one, else the sum of a Pi 5's rails."""
    for name in _INPUT_RAILS:
        if name in rails:
            return rails[name]
    return sum(rails.values()) if any(name.startswith("pi:") for name in rails) else None


def _number(path: Path) -> float | None:
    try:
        return float(read(path) or "")
    except ValueError:
        return None


def _hwmon_rails(root: Path) -> dict[str, float]:
    rails: dict[str, float] = {}
    for label in sorted(root.glob(f"{_HWMON}/in*_label")):
        channel = label.name.removeprefix("in").removesuffix("_label")
        millivolts = _number(label.with_name(f"in{channel}_input"))
        milliamperes = _number(label.with_name(f"curr{channel}_input"))
        if millivolts is not None and milliamperes is not None:
            rails[read(label) or label.name] = millivolts * milliamperes / 1e6
    return rails


def _iio_rails(root: Path) -> dict[str, float]:
    rails: dict[str, float] = {}
    for label in sorted(root.glob(f"{_IIO}/rail_name_*")):
        milliwatts = _number(label.with_name(f"in_power{label.name.rpartition('_')[2]}_input"))
        if milliwatts is not None:
            rails[read(label) or label.name] = milliwatts / 1000
    return rails


def _pi_rails(root: Path) -> dict[str, float]:
    parts: dict[str, dict[str, float]] = {}
    for name, unit, value in _PI_LINE.findall(tool(root, "vcgencmd", "pmic_read_adc") or ""):
        parts.setdefault(name, {})[unit] = float(value)
    return {f"pi:{name}": each["A"] * each["V"] for name, each in parts.items() if {"A", "V"} <= each.keys()}


def package_energy_j(root: Path) -> float | None:
    """Return the energy counter of all x86 packages (RAPL); it wraps, and most systems show it to root only."""
    domains = sorted(root.glob("sys/class/powercap/intel-rapl:[0-9]"))
    # a laptop's psys is the whole machine, package included: adding it would count that twice
    packages = [each for each in domains if (read(each / "name") or "").startswith("package")]
    microjoules = [_number(each / "energy_uj") for each in packages]
    known = [value for value in microjoules if value is not None]
    return sum(known) / 1e6 if known else None
