"""Things along a kerb: lamps, posts, signs and traffic lights."""

import functools
import math
from typing import Literal

import numpy as np

from segfast_edge.data.scene.camera import Point, Pose
from segfast_edge.data.scene.chance import Span, pick, within
from segfast_edge.data.scene.classes import POLE, SIGN
from segfast_edge.data.scene.light import Rgb, times
from segfast_edge.data.scene.thing import Brush, Thing, rectangle, ring

STEEL: tuple[Rgb, ...] = ((112, 116, 118), (64, 70, 70), (44, 62, 54), (150, 152, 152))
RED, WHITE, BLUE, GREEN = (190, 28, 34), (238, 238, 234), (24, 70, 150), (28, 100, 60)
YELLOW, DARK = (232, 190, 40), (28, 28, 30)
Kind = Literal["lamp", "post", "lights", "entry", "way", "triangle", "square", "board"]
# what is painted on a plate: outlines right and up from the pole's top in metres; None: the sign's own colour
_PLATES: dict[Kind, list[tuple[list[tuple[float, float]], Rgb | None]]] = {
    "entry": [(ring(0.36), WHITE), (ring(0.33), RED), (rectangle(0.22, -0.06, 0.06), WHITE)],
    "way": [(ring(0.34), BLUE), ([(-0.16, -0.1), (0.16, -0.1), (0.0, 0.2)], WHITE)],
    "triangle": [([(-0.42, -0.3), (0.42, -0.3), (0.0, 0.43)], RED), ([(-0.26, -0.2), (0.26, -0.2), (0.0, 0.25)], WHITE),
                 (rectangle(0.05, -0.14, 0.12), DARK)],
    "square": [(rectangle(0.32, -0.32, 0.32), None), ([(-0.2, -0.2), (0.2, -0.2), (0.0, 0.18)], WHITE)],
    "board": [(rectangle(0.95, -0.62, 0.62), WHITE), (rectangle(0.89, -0.56, 0.56), None),
              (rectangle(0.6, 0.21, 0.35), WHITE), (rectangle(0.5, -0.3, -0.16), WHITE)],
}  # fmt: skip
_SIZES: dict[Kind, tuple[float, Span]] = {  # thickness and height; those with a plate are thin
    "lamp": (0.17, (5.5, 9.0)), "post": (0.14, (0.8, 1.1)), "lights": (0.14, (2.7, 2.7)), "board": (0.085, (2.6, 3.4)),
}  # fmt: skip
_LENSES: tuple[Rgb, ...] = ((255, 60, 40), (255, 190, 40), (60, 235, 130))


def _paint(kind: Kind, size: Point, steel: Rgb, sign: Rgb, brush: Brush) -> None:
    """Paint a pole and what it carries; ``size``: thickness, height, and how far to the right an arm reaches."""
    thick, high, arm = size
    brush.rod([(0, 0, 0), (0, high, 0)], (thick, thick * 0.65), steel)
    brush.rod([(0, 0, 0), (0, min(0.9, high * 0.3), 0)], (thick * 1.35, thick * 1.35), steel)
    for outline, colour in _PLATES.get(kind, ()):
        brush.face([(x, high + y, -0.06) for x, y in outline], colour or sign, SIGN)
    if kind == "post":
        brush.rod([(0, high * 0.7, 0), (0, high * 0.82, 0)], (0.15, 0.15), WHITE)
    if kind == "lamp":
        head: list[Point] = [(arm, high + 0.4, 0), (arm + math.copysign(0.5, arm), high + 0.38, 0)]
        brush.rod([(0, high, 0), (arm * 0.3, high + 0.35, 0), head[0]], (0.11, 0.08), steel)
        brush.rod(head, (0.2, 0.16), (150, 150, 146))
        if brush.light.lamps > 0.5:
            brush.rod(head, (0.12, 0.1), (700, 640, 480))
            brush.canvas.glow(brush.camera.seen(head[1]), 1.3, (255, 214, 150))
    if kind == "lights":
        _paint_lights(high, 0.0, steel, brush)
        if arm:
            brush.rod([(0, high, 0), (0, high + 2.6, 0), (arm, high + 2.6, 0)], (0.12, 0.08), steel)
            _paint_lights(high + 2.2, arm, steel, brush)


def _paint_lights(y: float, x: float, steel: Rgb, brush: Brush) -> None:
    """Paint a traffic light around that height; which lens shines goes by the pole's colour."""
    brush.panel((x - 0.2, y - 0.5, x + 0.2, y + 0.5), (30, 32, 32), -0.08, SIGN)
    for row, colour in enumerate(_LENSES):
        lens = [(x + dx, y + 0.32 - 0.32 * row + dy, -0.1) for dx, dy in ring(0.115)]
        on = row == steel[0] % 3
        if brush.face(lens, times(colour, 1.0 if on else 0.16), SIGN, shining=True) and on:
            brush.canvas.glow(brush.camera.seen(lens[4]), 0.45, times(colour, 0.5))


def draw_pole(rng: np.random.Generator, kind: Kind, pose: Pose, towards: int) -> Thing:
    """Draw a pole of that kind; an arm reaches towards the road, to the left (-1) or right (1)."""
    thick, heights = _SIZES.get(kind, (0.085, (2.0, 2.7)))
    arm = {"lamp": within(rng, (0.8, 2.2)), "lights": 3.4 * (rng.random() < 0.4)}.get(kind, 0.0) * towards
    high, steel, sign = within(rng, heights), pick(rng, STEEL), pick(rng, (BLUE, GREEN, YELLOW, BLUE, RED))
    paint = functools.partial(_paint, kind, (thick, high, arm), steel, sign)
    return Thing(pose, rectangle(0.12, -0.12, 0.12), high, POLE, paint)
