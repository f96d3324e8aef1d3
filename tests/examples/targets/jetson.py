"""A Jetson Orin Nano."""

MACHINE = "aarch64"
FILES = {"proc/device-tree/model": b"NVIDIA Jetson Orin Nano Developer Kit\0"}
