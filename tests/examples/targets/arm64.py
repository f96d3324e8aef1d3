"""A board that no other target knows."""

MACHINE = "aarch64"
FILES = {"proc/device-tree/model": b"A board of its own kind\0"}
