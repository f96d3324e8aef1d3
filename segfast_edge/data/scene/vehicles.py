"""Cars, vans and buses: their measures, colours and kinds."""

from dataclasses import dataclass

import numpy as np

from segfast_edge.data.scene.bodywork import Body, Finish, Painter
from segfast_edge.data.scene.camera import Point
from segfast_edge.data.scene.canvas import Canvas
from segfast_edge.data.scene.chance import pick
from segfast_edge.data.scene.light import Rgb
from segfast_edge.data.scene.shadows import Shadows
from segfast_edge.data.scene.street import Pose

PAINTS: tuple[Rgb, ...] = (
    (34, 36, 40), (60, 62, 66), (128, 132, 136), (186, 188, 190), (232, 232, 230), (232, 232, 230),
    (150, 28, 30), (30, 54, 112), (60, 92, 140), (36, 76, 58), (196, 158, 46), (112, 84, 62), (92, 24, 38),
)  # fmt: skip


BODIES = {
    "hatchback": Body(4.0, 1.74, 1.48, 0.92, (0.12, 0.55, 2.35, 3.05), 0.78, 0.9, 0.31, 2, 0.2),
    "saloon": Body(4.6, 1.8, 1.44, 0.92, (0.75, 1.35, 2.75, 3.45), 0.78, 0.9, 0.32, 2, 0.2),
    "estate": Body(4.6, 1.8, 1.48, 0.92, (0.1, 0.4, 2.75, 3.45), 0.78, 0.9, 0.32, 3, 0.18),
    "suv": Body(4.6, 1.9, 1.72, 1.05, (0.1, 0.45, 2.7, 3.35), 0.98, 1.02, 0.37, 3, 0.17),
    "van": Body(5.2, 2.0, 2.3, 1.25, (0.02, 0.08, 3.9, 4.6), 1.12, 1.2, 0.35, 1, 0.1),
    "bus": Body(11.0, 2.5, 3.05, 1.2, (0.02, 0.06, 10.8, 10.95), 1.1, 1.2, 0.48, 7, 0.04),
}
CHANCES = {"hatchback": 0.36, "saloon": 0.22, "estate": 0.14, "suv": 0.16, "van": 0.09, "bus": 0.03}


@dataclass(frozen=True, slots=True)
class Vehicle:
    """One of them; ``pose`` is under its rear end's middle."""

    pose: Pose
    along: float
    body: Body
    finish: Finish

    @property
    def foot(self) -> Point:
        """Where it stands."""
        return self.pose.foot

    def shade(self, shadows: Shadows) -> None:
        """Cast its shadow."""
        body = self.body
        base = [self.pose.at(f, r * body.wide / 2, 0.0) for f, r in ((0, -1), (body.long, -1), (body.long, 1), (0, 1))]
        shadows.cast(base, body.high * 0.85)
        shadows.touch(base)

    def paint_on(self, canvas: Canvas, lit: float) -> None:
        """Paint it; ``lit`` is the share of the sun that reaches it."""
        middle = self.pose.at(self.body.long / 2, 0, 0)
        if canvas.shows(middle, self.body.long / 2 + 0.5):
            Painter(canvas, self.pose, self.body, self.finish, lit).paint()


def draw_vehicle(rng: np.random.Generator, pose: Pose, along: float, moving: bool) -> Vehicle:
    """Draw one that stands or drives there."""
    kind = pick(rng, tuple(CHANCES), tuple(CHANCES.values()))
    if kind == "bus" and not moving:
        kind = "van"
    paint = pick(rng, PAINTS) if kind != "bus" or rng.uniform() < 0.4 else (168, 30, 34)
    if kind == "van" and rng.uniform() < 0.6:
        paint = (228, 228, 226)
    return Vehicle(pose, along, BODIES[kind], Finish(paint, bool(rng.uniform() < 0.3), moving))
