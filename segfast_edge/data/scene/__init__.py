"""The procedural street scene: numpy and pillow only."""

from segfast_edge.data.scene.render import render
from segfast_edge.data.sources.camvid import CLASSES

__all__ = ["CLASSES", "render"]
