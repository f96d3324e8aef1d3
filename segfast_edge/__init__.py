"""segfast-edge: semantic segmentation from training to a cheap computer in a car."""

__version__ = "0.1.0"
DEVICE_PYTHON = (3, 10)  # the oldest that the device side runs on: JetPack 6's
