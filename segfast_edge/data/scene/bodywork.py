"""Painting a vehicle: a few dozen faces, with windows, wheels, lights and plates."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from segfast_edge.data.scene.camera import Point
from segfast_edge.data.scene.canvas import Canvas
from segfast_edge.data.scene.classes import CAR
from segfast_edge.data.scene.light import Rgb, mixed, times
from segfast_edge.data.scene.street import Pose


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


@dataclass(frozen=True, slots=True)
class Finish:
    """What a vehicle wears and shows: its colour, brake lights, and whether its lamps are on when it is dark."""

    paint: Rgb
    braking: bool
    moving: bool


_RIM = [(math.cos(k * math.pi / 8), math.sin(k * math.pi / 8)) for k in range(16)]


class Painter:
    """Paints one vehicle, the parts that face away left out."""

    def __init__(self, canvas: Canvas, pose: Pose, body: Body, finish: Finish, lit: float) -> None:
        self.canvas, self.pose, self.body, self.finish, self.lit = canvas, pose, body, finish, lit
        eye = canvas.camera.position
        dx, dz = eye[0] - pose.foot[0], eye[2] - pose.foot[2]
        scale = canvas.camera.focal / max(1.0, math.hypot(dx, dz))  # pixels per metre
        self.fine, self.coarse = scale > 22, scale < 11  # where details and wheels are lost
        # the camera as seen from the vehicle: forward, right, up
        self.eye = (dx * pose.sine + dz * pose.cosine, dx * pose.cosine - dz * pose.sine, eye[1])

    def paint(self) -> None:
        """Paint it, from the ground up."""
        body = self.body
        side = 1.0 if self.eye[1] > 0 else -1.0
        from_rear = self.eye[0] < body.long / 2
        self._underside()
        if self.fine:
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
        return self.pose.at(f, r, u)

    def _light(self, colour: Rgb, normal: Point) -> Rgb:
        lit = self.canvas.light.on(colour, self.pose.normal(*normal), self.lit)
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
            for radius, colour in (
                (1.18, (20, 20, 22)),
                (1.0, (30, 30, 32)),
                (0.62, (128, 130, 134)),
                (0.2, (64, 64, 66)),
            ):
                if radius != 1.0 and (hidden or (not self.fine and radius != 0.62)):
                    continue
                up = body.wheel
                points = [(f + x * radius * up, r, max(0.0, up + y * radius * up)) for x, y in _RIM]
                self._quad(points, colour, (0, side, 0))

    def _deck(self) -> None:
        """Bonnet and boot lid, which lie between belt and ends."""
        body = self.body
        half = body.wide / 2
        for end, height, glass, normal in (
            (body.long, body.bonnet, body.glass[3], (0.15, 0.0, 0.98)),
            (0.0, body.boot, body.glass[0], (0.0, 0.0, 1.0)),
        ):
            corners = [(glass, -half, body.belt), (glass, half, body.belt), (end, half, height), (end, -half, height)]
            self._quad(corners, self.finish.paint, normal)

    def _side(self, side: float) -> None:
        body, paint, rear, front = self.body, self.finish.paint, 0.0, self.body.long
        low, sill = 0.22, 0.34
        line = [(rear, low + 0.1), (front, low + 0.08), (front, body.bonnet), (body.glass[3], body.belt)]
        self._panel(side, [*line, (body.glass[0], body.belt), (rear, body.boot)], paint, CAR)
        crease = (body.belt + sill) / 2 + 0.08
        self._panel(side, _box(0.04, front - 0.04, sill, crease), times(paint, 0.86))
        self._panel(side, _box(0.6, front - 0.6, low, sill), times(paint, 0.4), CAR)
        if not self.coarse:
            self._wheel_pair(side)
        if self.fine:
            self._side_details(side)

    def _side_details(self, side: float) -> None:
        """Gaps of doors, and the lights as they reach round the corners."""
        body, paint, front, top = self.body, self.finish.paint, self.body.long, self.body.bonnet
        for k in range(body.panes if body.long < 6 else 2):
            f = body.glass[0] + 0.62 + k * 1.05
            if f < body.glass[3]:
                self._panel(side, _box(f, f + 0.03, 0.34, body.belt), times(paint, 0.45))
        self._panel(side, _box(0.0, 0.15, body.boot - 0.28, body.boot - 0.1), (196, 40, 36))
        lamp = [(front, top - 0.24), (front - 0.3, top - 0.16), (front - 0.26, top - 0.06), (front, top - 0.08)]
        self._panel(side, lamp, (226, 228, 226))

    def _panel(
        self, side: float, outline: Sequence[tuple[float, float]], colour: Rgb, label: int | None = None
    ) -> None:
        """Fill an outline, forward and up, on a flank."""
        across = side * self.body.wide / 2
        self._quad([(forward, across, up) for forward, up in outline], colour, (0, side, 0.05), label)

    def _end(self, end: float) -> None:
        """Rear (0) or front (1) end with bumper, plate and lights."""
        body, paint = self.body, self.finish.paint
        half, top = body.wide / 2, body.bonnet if end else body.boot
        self._plate(end, _box(-half, half, 0.25, top), paint, CAR)
        self._plate(end, _box(-half, half, 0.25, 0.25 + (top - 0.25) * 0.36), times(paint, 0.78))
        self._plate(end, _box(-half + 0.06, half - 0.06, 0.22, 0.34), (34, 34, 36), CAR)
        if end and self.fine:
            self._plate(end, _box(-half * 0.55, half * 0.55, top - 0.34, top - 0.12), (30, 30, 32))
        number, low = ((236, 236, 232), 0.42) if end else ((232, 226, 150), 0.56)
        self._plate(end, _box(-0.26, 0.26, low, low + 0.11), number)
        for side in (-1.0, 1.0):
            self._lamp(end, side, top)

    def _plate(self, end: float, outline: Sequence[tuple[float, float]], colour: Rgb, label: int | None = None) -> None:
        """Fill an outline, right and up, on the rear (0) or front (1) end."""
        forward = end * self.body.long
        self._quad([(forward, right, up) for right, up in outline], colour, (2 * end - 1, 0, 0.05), label)

    def _lamp(self, end: float, side: float, top: float) -> None:
        f = end * self.body.long
        half, light = self.body.wide / 2, self.canvas.light
        across = (side * (half - 0.04), side * (half - (0.42 if end else 0.3)))
        up = (top - 0.3, top - 0.1) if self.body.high < 2 else (top - 0.5, top - 0.15)
        on = light.lamps > 0.5 and self.finish.moving
        glow: Rgb = (255, 246, 214) if end else (255, 44, 28)
        dull: Rgb = (214, 218, 220) if end else (150, 22, 24)
        out: Point = (1.0 if end else -1.0, 0, 0)
        points = [
            self._at(f, r, u)
            for r, u in ((across[0], up[0]), (across[1], up[0]), (across[1], up[1]), (across[0], up[1]))
        ]
        shining = on or (self.finish.braking and not end)
        self.canvas.face(points, glow if shining else self._light(dull, out))
        if shining:
            strength = (0.85 if end else 0.35) if on else 0.1
            self.canvas.glow(self._at(f, sum(across) / 2, sum(up) / 2), 0.32 if end else 0.28, times(glow, strength))

    def _cabin(self, side: float, from_rear: bool) -> None:
        body, paint = self.body, self.finish.paint
        low, high = body.wide / 2, body.wide / 2 - body.taper
        r0, r1, f1, f0 = body.glass
        roof = [(r1, -high, body.high), (r1, high, body.high), (f1, high, body.high), (f1, -high, body.high)]
        if self.eye[2] > body.high:
            self._quad(roof, paint, (0, 0, 1))
        rear = [(r0, -low, body.belt), (r0, low, body.belt), (r1, high, body.high), (r1, -high, body.high)]
        front = [(f0, low, body.belt), (f0, -low, body.belt), (f1, -high, body.high), (f1, high, body.high)]
        flank = [
            (r0, side * low, body.belt),
            (f0, side * low, body.belt),
            (f1, side * high, body.high),
            (r1, side * high, body.high),
        ]
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

    def _pane(
        self, corners: Sequence[Point], across: tuple[float, float], up: tuple[float, float], normal: Point
    ) -> None:
        """Glass inside a face: darker low down, the sky's reflection in the upper part."""
        glass = self._light((34, 40, 46), normal)
        sky = mixed(self.canvas.light.zenith, self.canvas.light.horizon, 0.6)
        middle = up[0] + (up[1] - up[0]) * 0.45
        for low, high, share in ((up[0], up[1], 0.1), (middle, up[1], 0.3)):
            points = [
                _within(corners, u, v)
                for u, v in ((across[0], low), (across[1], low), (across[1], high), (across[0], high))
            ]
            self.canvas.face([self._at(*point) for point in points], mixed(glass, sky, share))


def _box(rear: float, front: float, low: float, high: float) -> list[tuple[float, float]]:
    return [(rear, low), (front, low), (front, high), (rear, high)]


def _within(corners: Sequence[Point], u: float, v: float) -> Point:
    """Return the point of a face at ``u`` from left to right and ``v`` from below, both 0 to 1."""
    a, b, c, d = corners
    x, y, z = (
        (p * (1 - u) + q * u) * (1 - v) + (s * (1 - u) + t * u) * v for p, q, t, s in zip(a, b, c, d, strict=True)
    )
    return x, y, z
