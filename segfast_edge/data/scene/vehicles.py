"""Cars, vans and buses: convex bodies, with windows, wheels, lights and plates on their faces."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from segfast_edge.data.scene.camera import Pose
from segfast_edge.data.scene.chance import Span, pick
from segfast_edge.data.scene.classes import CAR
from segfast_edge.data.scene.light import Rgb, mixed, times
from segfast_edge.data.scene.thing import Box, Brush, Corners, Thing, inside, rectangle, ring


class Body(NamedTuple):
    """A body's measures in metres; lengths count from the rear bumper forward.

    ``belt`` is where the windows begin; ``glass`` lists where rear window and windscreen stand: at the belt and at
    the roof, rear first. ``bonnet`` is the height of the front end, ``boot`` that of the rear; on each side the roof
    is narrower by ``taper``.
    """

    chance: float
    long: float
    wide: float
    high: float
    belt: float
    glass: tuple[float, float, float, float]
    bonnet: float
    boot: float
    wheel: float
    panes: int
    taper: float


BODIES = {
    "hatchback": Body(0.36, 4.0, 1.74, 1.48, 0.92, (0.12, 0.55, 2.35, 3.05), 0.78, 0.9, 0.31, 2, 0.2),
    "saloon": Body(0.22, 4.6, 1.8, 1.44, 0.92, (0.75, 1.35, 2.75, 3.45), 0.78, 0.9, 0.32, 2, 0.2),
    "estate": Body(0.14, 4.6, 1.8, 1.48, 0.92, (0.1, 0.4, 2.75, 3.45), 0.78, 0.9, 0.32, 3, 0.18),
    "suv": Body(0.16, 4.6, 1.9, 1.72, 1.05, (0.1, 0.45, 2.7, 3.35), 0.98, 1.02, 0.37, 3, 0.17),
    "van": Body(0.09, 5.2, 2.0, 2.3, 1.25, (0.02, 0.08, 3.9, 4.6), 1.12, 1.2, 0.35, 1, 0.1),
    "bus": Body(0.03, 11.0, 2.5, 3.05, 1.2, (0.02, 0.06, 10.8, 10.95), 1.1, 1.2, 0.48, 7, 0.04),
}
PAINTS: tuple[Rgb, ...] = (
    (34, 36, 40), (60, 62, 66), (128, 132, 136), (186, 188, 190), (232, 232, 230), (232, 232, 230),
    (150, 28, 30), (30, 54, 112), (60, 92, 140), (36, 76, 58), (196, 158, 46), (112, 84, 62), (92, 24, 38),
)  # fmt: skip
_WHEEL: tuple[tuple[float, Rgb], ...] = (
    (1.18, (20, 20, 22)), (1.0, (34, 34, 36)), (0.62, (138, 140, 144)), (0.5, (96, 98, 102)), (0.2, (150, 152, 154)),
)  # fmt: skip
_BUMPER: tuple[Box, Rgb] = ((0.03, 0.0, 0.97, 0.14), (34, 34, 36))
_NUMBERS: dict[bool, list[tuple[Box, Rgb]]] = {  # plates, in front below the grille
    True: [((0.35, 0.22, 0.65, 0.44), (236, 236, 232)), ((0.24, 0.58, 0.76, 0.8), (30, 30, 32))],
    False: [((0.35, 0.46, 0.65, 0.64), (232, 226, 150))],
}


@dataclass(frozen=True, slots=True)
class Vehicle:
    """One of them: its measures and colour, whether it brakes, and whether its lamps are on when it is dark."""

    body: Body
    colour: Rgb
    braking: bool
    moving: bool

    def paint(self, brush: Brush) -> None:
        """Paint it, from the ground up."""
        b, half = self.body, self.body.wide / 2
        r0, r1, f1, f0 = b.glass
        brush.gloss = 0.1
        chassis = ((0.3, 0.16), (b.long - 0.3, 0.16), (b.long - 0.3, 0.45), (0.3, 0.45))
        brush.solid([(z, y, half - 0.1) for z, y in chassis], (14, 14, 16))
        for middle in (0.19 * b.long, 0.81 * b.long) if brush.scale > 16 else ():
            tread = [(middle + z, b.wheel + y, 0.1) for z, y in ring(b.wheel, 8)]
            for x in (0.1 - half, half - 0.1):
                brush.solid(tread, (26, 26, 28), x)
        lower = ((0.0, 0.28), (b.long, 0.28), (b.long, b.bonnet), (f0, b.belt), (r0, b.belt), (0.0, b.boot))
        faces = brush.solid([(z, y, half) for z, y in lower], self.colour)
        if brush.scale > 8:
            for side in (-1, 1):
                self._side(brush, side)
        self._end(brush, faces[5], front=False)
        self._end(brush, [*faces[1][2:], *faces[1][:2]], front=True)
        cabin = ((r0, b.belt, half), (f0, b.belt, half), (f1, b.high, half - b.taper), (r1, b.high, half - b.taper))
        _, windscreen, _, rear, *flanks = brush.solid(cabin, self.colour)
        for corners in (windscreen, rear):
            _pane(brush, corners, (0.07, 0.93))
        start, stop = (0.06, 0.94) if b.high < 2 or b.panes > 1 else (0.72, 0.95)
        step = (stop - start) / b.panes
        for pane in range(b.panes if brush.scale > 5 else 0):
            left, right = start + step * pane, start + step * (pane + 1) - 0.02
            _pane(brush, flanks[0], (left, right))
            _pane(brush, flanks[1], (1 - right, 1 - left))

    def _end(self, brush: Brush, corners: Corners, *, front: bool) -> None:
        """Paint bumper, plate and lamps on the rear or front end."""
        details = [((0.0, 0.0, 1.0, 0.36), times(self.colour, 0.78)), _BUMPER, *_NUMBERS[front]]
        for box, paint in details if brush.scale > 8 else ():
            brush.face(inside(corners, box), paint)
        on, wide = brush.light.lamps > 0.5 and self.moving, 0.2
        shining = on or (self.braking and not front)
        glow: Rgb = (255, 246, 214) if front else (255, 44, 28)
        for left in (0.02, 0.98 - wide):
            lamp, dull = inside(corners, (left, 0.6, left + wide, 0.88)), (214, 218, 220) if front else (150, 22, 24)
            if brush.face(lamp, glow if shining else dull, shining=shining) and shining:
                brush.glow(lamp[0], 0.3, times(glow, (0.85 if front else 0.35) if on else 0.1))

    def _side(self, brush: Brush, side: int) -> None:
        """Paint wheels, sill, doors, and the lights as they reach round the corners."""
        b, paint, x = self.body, self.colour, side * self.body.wide / 2

        def patch(along: Span, up: Span, colour: Rgb) -> None:
            (rear, front), (low, high) = along[::side], up
            brush.face([(x, low, rear), (x, low, front), (x, high, front), (x, high, rear)], colour)

        patch((0.04, b.long - 0.04), (0.34, b.belt / 2 + 0.25), times(paint, 0.86))
        patch((0.6, b.long - 0.6), (0.22, 0.34), times(paint, 0.4))
        for middle in (0.19 * b.long, 0.81 * b.long):
            for radius, colour in _WHEEL if brush.scale > 22 else _WHEEL[1:3]:
                rim = [(x, max(0.0, b.wheel + y), middle + z) for z, y in ring(radius * b.wheel)]
                brush.face(rim[::side], colour)
        for door in range(b.panes + 1 if brush.scale > 22 else 0):
            at = b.glass[0] + 0.62 + door * 1.05
            patch((at, at + 0.03), (0.34, b.belt), times(paint, 0.45))
        patch((0.0, 0.15), (b.boot - 0.28, b.boot - 0.1), (196, 40, 36))
        patch((b.long - 0.28, b.long), (b.bonnet - 0.22, b.bonnet - 0.08), (226, 228, 226))


def _pane(brush: Brush, corners: Corners, across: Span) -> None:
    """Paint glass in a face: dark, the sky's reflection in the upper part."""
    sky = mixed(brush.light.zenith, brush.light.horizon, 0.6)
    dark = brush.light.on((34, 40, 46), (0.0, 0.2, 0.0), brush.lit)
    for low, share in ((0.1, 0.1), (0.46, 0.3)):
        brush.face(inside(corners, (across[0], low, across[1], 0.9)), mixed(dark, sky, share), shining=True)


def draw_vehicle(rng: np.random.Generator, pose: Pose, *, moving: bool, ahead: bool) -> Thing:
    """Draw one that stands or drives with its near end at ``pose``, facing as it does."""
    kind = pick(rng, tuple(BODIES), [body.chance for body in BODIES.values()])
    kind = "van" if kind == "bus" and not moving else kind
    usual: dict[str, Rgb] = {"van": (228, 228, 226), "bus": (168, 30, 34)}
    colour = usual[kind] if kind in usual and rng.uniform() < 0.6 else pick(rng, PAINTS)
    body = BODIES[kind]
    if not ahead:  # its rear is at the far end
        pose = Pose(pose.at((0.0, 0.0, -body.long)), pose.cosine, pose.sine)
    vehicle = Vehicle(body, colour, bool(rng.uniform() < 0.3), moving)
    return Thing(pose, rectangle(body.wide / 2, 0.0, body.long), body.high, CAR, vehicle.paint)
