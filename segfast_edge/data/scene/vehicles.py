"""Cars, vans and buses: a few dozen faces each, with windows, wheels, lights and plates."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segfast_edge.data.scene.camera import Point
from segfast_edge.data.scene.canvas import Canvas
from segfast_edge.data.scene.classes import CAR
from segfast_edge.data.scene.light import Rgb, mixed, times
from segfast_edge.data.scene.shadows import Shadows
from segfast_edge.data.scene.street import Pose

PAINTS: tuple[Rgb, ...] = (
    (34, 36, 40), (60, 62, 66), (128, 132, 136), (186, 188, 190), (232, 232, 230), (232, 232, 230),
    (150, 28, 30), (30, 54, 112), (60, 92, 140), (36, 76, 58), (196, 158, 46), (112, 84, 62), (92, 24, 38),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Body:
    """A body's measures in metres; lengths count from the rear bumper forward.

    ``belt`` is where the windows begin; ``glass`` lists where rear window and windscreen stand: at the belt and at
    the roof, rear first. ``bonnet`` is the height of the front end, ``boot`` that of the rear.
    """

    long: float
    wide: float
    high: float
    belt: float
    glass: tuple[float, float, float, float]
    bonnet: float
    boot: float
    wheel: float
    panes: int
    taper: float  # by how much the roof is narrower on each side


BODIES = {
    "hatchback": Body(4.0, 1.74, 1.48, 0.92, (0.12, 0.55, 2.35, 3.05), 0.78, 0.9, 0.31, 2, 0.2),
    "saloon": Body(4.6, 1.8, 1.44, 0.92, (0.75, 1.35, 2.75, 3.45), 0.78, 0.9, 0.32, 2, 0.2),
    "estate": Body(4.6, 1.8, 1.48, 0.92, (0.1, 0.4, 2.75, 3.45), 0.78, 0.9, 0.32, 3, 0.18),
    "suv": Body(4.6, 1.9, 1.72, 1.05, (0.1, 0.45, 2.7, 3.35), 0.98, 1.02, 0.37, 3, 0.17),
    "van": Body(5.2, 2.0, 2.3, 1.25, (0.02, 0.08, 3.9, 4.6), 1.12, 1.2, 0.35, 1, 0.1),
    "bus": Body(11.0, 2.5, 3.05, 1.2, (0.02, 0.06, 10.8, 10.95), 1.1, 1.2, 0.48, 7, 0.04),
}
CHANCES = {"hatchback": 0.36, "saloon": 0.22, "estate": 0.14, "suv": 0.16, "van": 0.09, "bus": 0.03}
Quad = tuple[Point, Point, Point, Point]  # lower left, lower right, upper right, upper left, seen from outside


@dataclass(frozen=True, slots=True)
class Vehicle:
    """One of them; ``pose`` is under its rear end's middle."""

    pose: Pose
    along: float
    body: Body
    paint: Rgb
    braking: bool
    moving: bool

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
        _Painter(canvas, self, lit).paint()


def draw_vehicle(rng: np.random.Generator, pose: Pose, along: float, moving: bool) -> Vehicle:
    """Draw one that stands or drives there."""
    kinds = list(CHANCES)
    kind = kinds[int(rng.choice(len(kinds), p=list(CHANCES.values())))]
    if kind == "bus" and not moving:
        kind = "van"
    paint = PAINTS[int(rng.integers(len(PAINTS)))] if kind != "bus" or rng.uniform() < 0.4 else (168, 30, 34)
    if kind == "van" and rng.uniform() < 0.6:
        paint = (228, 228, 226)
    return Vehicle(pose, along, BODIES[kind], paint, bool(rng.uniform() < 0.3), moving)


class _Painter:
    """Paints one vehicle, the parts that face away left out."""

    def __init__(self, canvas: Canvas, vehicle: Vehicle, lit: float) -> None:
        self.canvas, self.vehicle, self.body, self.lit = canvas, vehicle, vehicle.body, lit
        eye = canvas.camera.position
        dx, dz = eye[0] - vehicle.pose.foot[0], eye[2] - vehicle.pose.foot[2]
        s, c = math.sin(vehicle.pose.heading), math.cos(vehicle.pose.heading)
        self.eye = (dx * s + dz * c, dx * c - dz * s, eye[1])  # the camera, from the vehicle: forward, right, up

    def paint(self) -> None:
        body = self.body
        side = 1.0 if self.eye[1] > 0 else -1.0
        from_rear = self.eye[0] < body.long / 2
        self._underside()
        self._wheel_pair(-side, hidden=True)
        ends = [(1.0, self.eye[0] > body.long), (0.0, self.eye[0] < 0)]
        self._deck()
        if abs(self.eye[1]) > body.wide / 2:
            self._side(side)
        for end, visible in ends:
            if visible:
                self._end(end)
        self._cabin(side, from_rear)

    def _at(self, f: float, r: float, u: float) -> Point:
        return self.vehicle.pose.at(f, r, u)

    def _light(self, colour: Rgb, normal: Point) -> Rgb:
        lit = self.canvas.light.on(colour, self.vehicle.pose.normal(*normal), self.lit)
        return mixed(lit, self.canvas.light.horizon, 0.03 + 0.09 * max(normal[2], 0.0))

    def _quad(self, corners: Sequence[Point], colour: Rgb, normal: Point, label: int | None = CAR) -> None:
        self.canvas.face([self._at(*corner) for corner in corners], self._light(colour, normal), label)

    def _underside(self) -> None:
        body = self.body
        half = body.wide / 2 - 0.1
        for f in (0.3, body.long - 0.3):
            self._quad([(f, -half, 0.2), (f, half, 0.2), (f, half, 0.45), (f, -half, 0.45)], (14, 14, 16), (0, 0, 1))
            for left in (-half, half - 0.2):
                tyre = [(f, left, 0.0), (f, left + 0.2, 0.0), (f, left + 0.2, 0.45), (f, left, 0.45)]
                self._quad(tyre, (26, 26, 28), (0, 0, 0.5))
        for r in (-half, half):
            corners = [(0.3, r, 0.16), (body.long - 0.3, r, 0.16), (body.long - 0.3, r, 0.45), (0.3, r, 0.45)]
            self._quad(corners, (14, 14, 16), (0, 0, 1))

    def _wheel_pair(self, side: float, hidden: bool = False) -> None:
        body = self.body
        for f in (0.19 * body.long, 0.81 * body.long):
            r = side * (body.wide / 2 - (0.08 if hidden else 0.0))
            rim = [(math.cos(k * math.pi / 8), math.sin(k * math.pi / 8)) for k in range(16)]
            for radius, colour in ((1.18, (20, 20, 22)), (1.0, (30, 30, 32)), (0.62, (128, 130, 134)), (0.2, (64, 64, 66))):
                if hidden and radius != 1.0:
                    continue
                up = body.wheel
                points = [(f + x * radius * up, r, max(0.0, up + y * radius * up)) for x, y in rim]
                self._quad(points, colour, (0, side, 0))

    def _deck(self) -> None:
        """Bonnet and boot lid, which lie between belt and ends."""
        body, paint = self.body, self.vehicle.paint
        half = body.wide / 2
        rear, front = body.glass[0], body.glass[3]
        inner = half - 0.05
        self._quad([(front, -inner, body.belt), (front, inner, body.belt), (body.long, inner, body.bonnet), (body.long, -inner, body.bonnet)], paint, (0.15, 0, 0.98))
        self._quad([(0, -inner, body.boot), (0, inner, body.boot), (rear, inner, body.belt), (rear, -inner, body.belt)], paint, (0, 0, 1))

    def _side(self, side: float) -> None:
        body, paint = self.body, self.vehicle.paint
        r = side * body.wide / 2
        low, sill = 0.22, 0.34
        outline = [(0.0, r, low + 0.1), (body.long, r, low + 0.08), (body.long, r, body.bonnet), (body.glass[3], r, body.belt), (body.glass[0], r, body.belt), (0.0, r, body.boot)]
        self._quad(outline, paint, (0, side, 0.1))
        crease = (body.belt + sill) / 2 + 0.08
        self._quad([(0.04, r, sill), (body.long - 0.04, r, sill), (body.long - 0.04, r, crease), (0.04, r, crease)], times(paint, 0.86), (0, side, -0.1), None)
        self._quad([(0.6, r, low), (body.long - 0.6, r, low), (body.long - 0.6, r, sill), (0.6, r, sill)], times(paint, 0.4), (0, side, -0.2))
        self._wheel_pair(side)
        doors = body.panes if body.long < 6 else 2
        for k in range(doors):
            f = body.glass[0] + 0.62 + k * 1.05
            if f < body.glass[3]:
                self._quad([(f, r, sill), (f + 0.03, r, sill), (f + 0.03, r, body.belt), (f, r, body.belt)], times(paint, 0.45), (0, side, 0), None)
        lamp = (196, 40, 36)
        self._quad([(0.0, r, body.boot - 0.28), (0.16, r, body.boot - 0.26), (0.14, r, body.boot - 0.1), (0.0, r, body.boot - 0.1)], lamp, (0, side, 0), None)
        front = body.bonnet
        self._quad([(body.long, r, front - 0.24), (body.long - 0.3, r, front - 0.16), (body.long - 0.26, r, front - 0.06), (body.long, r, front - 0.08)], (226, 228, 226), (0, side, 0), None)

    def _end(self, end: float) -> None:
        """Rear (0) or front (1) end with bumper, plate and lights."""
        body, paint = self.body, self.vehicle.paint
        f, half = end * body.long, body.wide / 2
        top = body.bonnet if end else body.boot
        out: Point = (1.0 if end else -1.0, 0, 0.05)
        self._box(f, (-half, half), (0.25, top), paint, out, CAR)
        self._box(f, (-half, half), (0.25, 0.25 + (top - 0.25) * 0.36), times(paint, 0.78), out)
        self._box(f, (-half + 0.06, half - 0.06), (0.22, 0.34), (34, 34, 36), out, CAR)
        if end:
            self._box(f, (-half * 0.55, half * 0.55), (top - 0.34, top - 0.12), (30, 30, 32), out)
        plate = (232, 226, 150) if not end else (236, 236, 232)
        self._box(f, (-0.26, 0.26), (0.42, 0.53) if end else (0.56, 0.67), plate, out)
        for side in (-1.0, 1.0):
            self._lamp(f, side, top, end)

    def _lamp(self, f: float, side: float, top: float, end: float) -> None:
        half, light = self.body.wide / 2, self.canvas.light
        across = (side * (half - 0.04), side * (half - (0.42 if end else 0.3)))
        up = (top - 0.3, top - 0.1) if self.body.high < 2 else (top - 0.5, top - 0.15)
        on = light.lamps > 0.5 and self.vehicle.moving
        glow: Rgb = (255, 246, 214) if end else (255, 44, 28)
        dull: Rgb = (214, 218, 220) if end else (150, 22, 24)
        out: Point = (1.0 if end else -1.0, 0, 0)
        points = [self._at(f, r, u) for r, u in ((across[0], up[0]), (across[1], up[0]), (across[1], up[1]), (across[0], up[1]))]
        shining = on or (self.vehicle.braking and not end)
        self.canvas.face(points, glow if shining else self._light(dull, out))
        if shining:
            strength = 0.85 if end and on else 0.3
            self.canvas.glow(self._at(f, sum(across) / 2, sum(up) / 2), 0.5 if end else 0.4, times(glow, strength))

    def _box(self, f: float, across: tuple[float, float], up: tuple[float, float], colour: Rgb, out: Point, label: int | None = None) -> None:
        corners = [(f, across[0], up[0]), (f, across[1], up[0]), (f, across[1], up[1]), (f, across[0], up[1])]
        self._quad(corners, colour, out, label)

    def _cabin(self, side: float, from_rear: bool) -> None:
        body, paint = self.body, self.vehicle.paint
        low, high = body.wide / 2 - 0.03, body.wide / 2 - body.taper
        r0, r1, f1, f0 = body.glass
        roof = [(r1, -high, body.high), (r1, high, body.high), (f1, high, body.high), (f1, -high, body.high)]
        if self.eye[2] > body.high:
            self._quad(roof, paint, (0, 0, 1))
        rear = [(r0, -low, body.belt), (r0, low, body.belt), (r1, high, body.high), (r1, -high, body.high)]
        front = [(f0, low, body.belt), (f0, -low, body.belt), (f1, -high, body.high), (f1, high, body.high)]
        flank = [(r0, side * low, body.belt), (f0, side * low, body.belt), (f1, side * high, body.high), (r1, side * high, body.high)]
        ends = [(rear, (-0.8, 0, 0.5)), (front, (0.7, 0, 0.7))]
        for corners, normal in ends if not from_rear else ends[::-1]:
            visible = self.eye[0] < r1 if corners is rear else self.eye[0] > f1
            if visible:
                self._quad(corners, paint, normal)
                self._pane(corners, (0.07, 0.93), (0.1, 0.9), normal)
        if abs(self.eye[1]) > high:
            self._quad(flank, paint, (0, side, 0.2))
            self._side_panes(flank, side)
            if self.eye[2] > body.high:
                self._quad(roof, paint, (0, 0, 1))

    def _side_panes(self, flank: Sequence[Point], side: float) -> None:
        count = self.body.panes
        start, stop = (0.06, 0.94) if self.body.high < 2 or count > 1 else (0.72, 0.95)
        step = (stop - start) / count
        for k in range(count):
            left = start + k * step
            self._pane(flank, (left + 0.015, left + step - 0.02), (0.1, 0.88), (0, side, 0.2))

    def _pane(self, corners: Sequence[Point], across: tuple[float, float], up: tuple[float, float], normal: Point) -> None:
        """Glass inside a face: darker low down, the sky's reflection in the upper part."""
        glass = self._light((34, 40, 46), normal)
        sky = mixed(self.canvas.light.zenith, self.canvas.light.horizon, 0.6)
        middle = up[0] + (up[1] - up[0]) * 0.45
        for low, high, share in ((up[0], up[1], 0.1), (middle, up[1], 0.3)):
            points = [_within(corners, u, v) for u, v in ((across[0], low), (across[1], low), (across[1], high), (across[0], high))]
            self.canvas.face([self._at(*point) for point in points], mixed(glass, sky, share))


def _within(corners: Sequence[Point], u: float, v: float) -> Point:
    """Return the point of a face at ``u`` from left to right and ``v`` from below, both 0 to 1."""
    a, b, c, d = corners
    x, y, z = (
        (p * (1 - u) + q * u) * (1 - v) + (s * (1 - u) + t * u) * v for p, q, t, s in zip(a, b, c, d, strict=True)
    )
    return x, y, z
