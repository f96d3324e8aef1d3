"""Bundles: an artifact with everything that a device needs to run it, listed, signed, and the same bytes every time."""
