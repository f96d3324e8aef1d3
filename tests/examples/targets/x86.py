"""A PC tells nothing of its model in a device tree; its processor is enough."""

MACHINE = "x86_64"
FILES = {}
