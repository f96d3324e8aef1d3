"""The kind of a board, from Linux's files; ``root`` is ``/`` except in tests."""

import platform
from pathlib import Path

X86 = ("x86_64", "amd64")
ARM64 = ("aarch64", "arm64")

# Virtual boards and containers often lack the first, the second is where the kernel keeps it
_MODEL_FILES = ("proc/device-tree/model", "sys/firmware/devicetree/base/model")


def model(root: Path) -> str | None:
    """Return the board's model from the device tree, for example ``Raspberry Pi 5 Model B Rev 1.0``."""
    for name in _MODEL_FILES:
        try:
            return (root / name).read_bytes().rstrip(b"\0").decode("utf-8", "replace")
        except OSError:
            continue
    return None


def is_x86(_: Path) -> bool:
    """Say whether the processor is a 64-bit x86."""
    return platform.machine().lower() in X86


def is_raspberry_pi(root: Path) -> bool:
    """Say whether the device tree names a Raspberry Pi."""
    return "raspberry pi" in (model(root) or "").lower()


def is_jetson(root: Path) -> bool:
    """Say whether the device tree or NVIDIA's release file names a Jetson."""
    named = (model(root) or "").lower()
    return "jetson" in named or "tegra" in named or (root / "etc/nv_tegra_release").is_file()
