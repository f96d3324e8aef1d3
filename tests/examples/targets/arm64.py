"""A Rock 5."""

MACHINE = "aarch64"
FILES = {"proc/device-tree/model": b"Radxa ROCK 5B\0"}
