"""What stands along a kerb: lamps, posts, signs and traffic lights."""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np

from segfast_edge.data.scene.camera import Point
from segfast_edge.data.scene.canvas import Canvas
from segfast_edge.data.scene.chance import pick
from segfast_edge.data.scene.classes import POLE, SIGN
from segfast_edge.data.scene.light import Rgb, times
from segfast_edge.data.scene.shadows import Shadows
from segfast_edge.data.scene.street import Pose, Street

STEEL: tuple[Rgb, ...] = ((112, 116, 118), (64, 70, 70), (44, 62, 54), (150, 152, 152))
RED, WHITE, BLUE, YELLOW, DARK = (190, 28, 34), (238, 238, 234), (24, 70, 150), (232, 190, 40), (28, 28, 30)
Kind = Literal["lamp", "post", "round", "triangle", "square", "board", "lights"]


@dataclass(frozen=True, slots=True)
class Pole:
    """A pole and what it carries; ``pose`` faces the traffic that reads it, ``arm`` reaches over the road in metres."""

    pose: Pose
    along: float
    kind: Kind
    high: float
    steel: Rgb
    arm: float
    sign: Rgb

    @property
    def foot(self) -> Point:
        """Where it stands."""
        return self.pose.foot

    def shade(self, shadows: Shadows) -> None:
        """Cast its shadow."""
        base = [self.pose.at(f, r, 0) for f, r in ((-0.07, -0.07), (0.07, -0.07), (0.07, 0.07), (-0.07, 0.07))]
        shadows.cast(base, self.high)
        shadows.touch(
            [self.pose.at(f * 3, r * 3, 0) for f, r in ((-0.07, -0.07), (0.07, -0.07), (0.07, 0.07), (-0.07, 0.07))],
            0.6,
        )

    def paint_on(self, canvas: Canvas, lit: float) -> None:
        """Paint it."""
        if not canvas.shows(self.pose.foot, 4.0):
            return
        steel = canvas.light.on(self.steel, (0.0, 0.3, -0.7), lit)
        thick = {"lamp": 0.17, "post": 0.14, "lights": 0.14}.get(self.kind, 0.085)
        foot, head = self.pose.foot, self.pose.at(0, 0, self.high)
        canvas.limb((foot, head), (thick, thick * 0.65), steel, POLE)
        canvas.limb((foot, self.pose.at(0, 0, min(0.9, self.high * 0.3))), (thick * 1.35, thick * 1.35), steel, POLE)
        paint = {"lamp": self._lamp, "post": self._cap, "lights": self._lights, "board": self._board}
        paint.get(self.kind, self._plate)(canvas, lit)

    def _lamp(self, canvas: Canvas, lit: float) -> None:
        steel = canvas.light.on(self.steel, (0.0, 0.3, -0.7), lit)
        elbow, tip = self.pose.at(0, self.arm * 0.3, self.high + 0.35), self.pose.at(0, self.arm, self.high + 0.4)
        canvas.limb((self.pose.at(0, 0, self.high), elbow), (0.11, 0.09), steel, POLE)
        canvas.limb((elbow, tip), (0.09, 0.09), steel, POLE)
        end = self.pose.at(0, self.arm + math.copysign(0.5, self.arm), self.high + 0.38)
        canvas.limb((tip, end), (0.2, 0.16), canvas.light.on((196, 196, 190), (0, -0.5, -0.5), lit), POLE)
        if canvas.light.lamps > 0.5:
            canvas.limb((tip, end), (0.12, 0.1), (255, 236, 190))
            canvas.glow(end, 1.3, (255, 214, 150))

    def _cap(self, canvas: Canvas, lit: float) -> None:
        canvas.limb(
            (self.pose.at(0, 0, self.high * 0.7), self.pose.at(0, 0, self.high * 0.82)),
            (0.15, 0.15),
            canvas.light.on(WHITE, (0, 0, -1), lit),
            POLE,
        )

    def _flat(
        self, canvas: Canvas, corners: list[tuple[float, float]], colour: Rgb, lit: float, first: bool = False
    ) -> None:
        """Fill a polygon on the face of a plate: right and up from the pole's top, in metres."""
        facing = self.pose.normal(-1, 0, 0)
        shade = canvas.light.on(colour, facing, lit)
        points = [self.pose.at(-0.06, r, self.high + u) for r, u in corners]
        canvas.face(points, shade, SIGN if first else None)

    def _plate(self, canvas: Canvas, lit: float) -> None:
        ring = [(math.sin(k * math.pi / 8), math.cos(k * math.pi / 8)) for k in range(16)]
        if self.kind == "round":
            for radius, colour in (
                (0.34, RED if self.sign != BLUE else BLUE),
                (0.25, WHITE if self.sign != BLUE else BLUE),
            ):
                self._flat(canvas, [(x * radius, y * radius) for x, y in ring], colour, lit, radius > 0.3)
            for left in (-0.14, 0.04):
                self._flat(
                    canvas,
                    [(left, -0.12), (left + 0.1, -0.12), (left + 0.1, 0.12), (left, 0.12)],
                    DARK if self.sign != BLUE else WHITE,
                    lit,
                )
        elif self.kind == "triangle":
            for size, colour in ((1.0, RED), (0.62, WHITE)):
                self._flat(
                    canvas,
                    [(-0.42 * size, -0.3 * size), (0.42 * size, -0.3 * size), (0, 0.43 * size)],
                    colour,
                    lit,
                    size == 1,
                )
            self._flat(canvas, [(-0.05, -0.14), (0.05, -0.14), (0.05, 0.12), (-0.05, 0.12)], DARK, lit)
        else:
            self._flat(canvas, [(-0.32, -0.32), (0.32, -0.32), (0.32, 0.32), (-0.32, 0.32)], self.sign, lit, True)
            self._flat(canvas, [(-0.2, -0.2), (0.0, 0.18), (0.2, -0.2)], WHITE, lit)

    def _board(self, canvas: Canvas, lit: float) -> None:
        wide, tall = 0.95, 0.62
        self._flat(canvas, [(-wide, -tall), (wide, -tall), (wide, tall), (-wide, tall)], WHITE, lit, True)
        self._flat(
            canvas,
            [
                (-wide + 0.06, -tall + 0.06),
                (wide - 0.06, -tall + 0.06),
                (wide - 0.06, tall - 0.06),
                (-wide + 0.06, tall - 0.06),
            ],
            self.sign,
            lit,
        )
        for row, right in ((0.28, 0.5), (-0.02, 0.2), (-0.32, 0.62)):
            self._flat(
                canvas, [(-0.7, row - 0.07), (right, row - 0.07), (right, row + 0.07), (-0.7, row + 0.07)], WHITE, lit
            )

    def _lights(self, canvas: Canvas, lit: float) -> None:
        places = [(0.0, 0.0)] + ([(self.arm, 2.2)] if abs(self.arm) > 1 else [])
        shining = int(self.along * 7) % 3
        if len(places) > 1:
            top, steel = self.high + 2.2, canvas.light.on(self.steel, (0.0, 0.3, -0.7), lit)
            canvas.limb((self.pose.at(0, 0, self.high), self.pose.at(0, 0, top + 0.4)), (0.12, 0.1), steel, POLE)
            canvas.limb((self.pose.at(0, 0, top + 0.4), self.pose.at(0, self.arm, top + 0.4)), (0.1, 0.08), steel, POLE)
        for right, up in places:
            self._flat(
                canvas,
                [(right - 0.2, up - 0.5), (right + 0.2, up - 0.5), (right + 0.2, up + 0.5), (right - 0.2, up + 0.5)],
                (30, 32, 32),
                lit,
                True,
            )
            for row, colour in enumerate(((255, 60, 40), (255, 190, 40), (60, 235, 130))):
                centre = self.pose.at(-0.1, right, self.high + up + 0.32 - 0.32 * row)
                canvas.disc(centre, 0.115, colour if row == shining else times(colour, 0.22))
                if row == shining:
                    canvas.glow(centre, 0.45, times(colour, 0.5))


def draw_pole(rng: np.random.Generator, street: Street, kind: Kind, place: tuple[float, float]) -> Pole:
    """Draw a pole of that kind at (across, along); an arm reaches towards the road."""
    across, along = place
    towards = -1.0 if across > 0 else 1.0
    high = {
        "lamp": rng.uniform(5.5, 9),
        "post": rng.uniform(0.8, 1.1),
        "lights": 2.7,
        "board": rng.uniform(2.6, 3.4),
    }.get(kind, rng.uniform(2.0, 2.7))
    arm = (
        towards * float(rng.uniform(0.8, 2.2))
        if kind == "lamp"
        else towards * 3.4
        if kind == "lights" and rng.uniform() < 0.4
        else 0.0
    )
    colours = (BLUE, (28, 100, 60), YELLOW, BLUE, RED)
    pose = street.pose(across, along, float(rng.normal(0, 0.12)))
    return Pole(
        pose,
        along,
        kind,
        float(high),
        pick(rng, STEEL),
        arm,
        pick(rng, colours),
    )
