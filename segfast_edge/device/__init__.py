"""The device code as files: where it is, and how to copy it and start it on this computer."""
