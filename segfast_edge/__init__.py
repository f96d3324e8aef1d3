"""segfast-edge: semantic segmentation from training to a cheap computer in a car."""

__version__ = "0.1.0"
