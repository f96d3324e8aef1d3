"""The procedural street scene: numpy and pillow only."""

from segfast_edge.data.camvid_classes import CLASSES
from segfast_edge.data.scene.render import render

__all__ = ["CLASSES", "render"]
