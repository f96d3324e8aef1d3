"""A Raspberry Pi 5."""

MACHINE = "aarch64"
FILES = {"proc/device-tree/model": b"Raspberry Pi 5 Model B Rev 1.0\0"}
