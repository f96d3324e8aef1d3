"""Cars, vans and buses: convex bodies, with windows, wheels, lights and plates on their faces."""

import functools
from typing import NamedTuple

import numpy as np

from segfast_edge.data.scene.camera import Pose
from segfast_edge.data.scene.chance import Span, pick
from segfast_edge.data.scene.classes import CAR
from segfast_edge.data.scene.light import Rgb, mixed, times
from segfast_edge.data.scene.thing import Brush, Corners, Thing, inside, rectangle, ring


class Body(NamedTuple):
    """A body's measures in metres; lengths count from the rear bumper forward."""

    chance: float
    long: float
    wide: float
    high: float
    belt: float  # where the windows begin
    glass: tuple[float, float, float, float]  # of the rear window at the belt and at the roof, then of the windscreen
    bonnet: float  # height of the front end
    boot: float  # height of the rear end
    wheel: float  # radius
    panes: int  # windows on one side
    taper: float  # by how much the roof is narrower on each side


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


def _paint(body: Body, colour: Rgb, lamps: tuple[bool, bool], brush: Brush) -> None:
    """Paint one, from the ground up; ``lamps`` says whether it brakes, and whether it has its lights on in the dark."""
    half, high, (r0, r1, f1, f0) = body.wide / 2, body.high, body.glass
    wheels = (0.19 * body.long, 0.81 * body.long)
    brush.gloss = 0.1
    chassis = rectangle(body.long / 2 - 0.3, 0.16, 0.45)
    brush.solid([(body.long / 2 + z, y, half - 0.1) for z, y in chassis], (14, 14, 16))
    for middle in wheels if brush.scale > 16 else ():
        tread = [(middle + z, body.wheel + y, 0.1) for z, y in ring(body.wheel, 8)]
        for x in (0.1 - half, half - 0.1):
            brush.solid(tread, (26, 26, 28), x)
    low, belt = 0.28, body.belt
    lower = ((0.0, low), (body.long, low), (body.long, body.bonnet), (f0, belt), (r0, belt), (0.0, body.boot))
    faces = brush.solid([(z, y, half) for z, y in lower], colour)
    for side in (-1, 1) if brush.scale > 8 else ():
        _paint_side(body, colour, side, wheels, brush)
    for front, corners in ((False, faces[5]), (True, [*faces[1][2:], *faces[1][:2]])):
        _paint_end(corners, colour, front, lamps, brush)
    cabin = ((r0, belt, half), (f0, belt, half), (f1, high, half - body.taper), (r1, high, half - body.taper))
    _, windscreen, _, rear, *flanks = brush.solid(cabin, colour)
    _paint_pane(brush, windscreen, (0.07, 0.93))
    _paint_pane(brush, rear, (0.07, 0.93))
    start, stop = (0.06, 0.94) if high < 2 or body.panes > 1 else (0.72, 0.95)
    step = (stop - start) / body.panes
    for left in (start + step * pane for pane in range(body.panes if brush.scale > 5 else 0)):
        _paint_pane(brush, flanks[0], (left, left + step - 0.02))
        _paint_pane(brush, flanks[1], (1.02 - left - step, 1 - left))


def _paint_end(corners: Corners, colour: Rgb, front: bool, lamps: tuple[bool, bool], brush: Brush) -> None:
    """Paint bumper, plate and lamps on the rear or front end."""
    details = (  # bumper, and the plate on it
        ((0.0, 0.0, 1.0, 0.36), times(colour, 0.78)), ((0.03, 0.0, 0.97, 0.14), (34, 34, 36)),
        ((0.35, 0.26, 0.65, 0.46), (236, 236, 232) if front else (232, 226, 150)),
    )  # fmt: skip
    for box, paint in details if brush.scale > 8 else ():
        brush.face(inside(corners, box), paint)
    on = brush.light.lamps > 0.5 and lamps[1]
    shining = on or (lamps[0] and not front)
    glow, dull = ((255, 246, 214), (214, 218, 220)) if front else ((255, 44, 28), (150, 22, 24))
    for left in (0.02, 0.78):
        lamp = inside(corners, (left, 0.6, left + 0.2, 0.88))
        if brush.face(lamp, glow if shining else dull, shining=shining) and shining:
            brush.canvas.glow(brush.camera.seen(lamp[0]), 0.3, times(glow, (0.85 if front else 0.35) if on else 0.1))


def _paint_side(body: Body, paint: Rgb, side: int, wheels: Span, brush: Brush) -> None:
    """Paint wheels, sill, doors, and the lights as they reach round the corners."""
    x, long, bonnet, boot = side * body.wide / 2, body.long, body.bonnet, body.boot
    patches = [(0.04, long - 0.04, 0.34, body.belt / 2 + 0.25, times(paint, 0.86))]
    patches += [(0.6, long - 0.6, 0.22, 0.34, times(paint, 0.4)), (0.0, 0.15, boot - 0.28, boot - 0.1, (196, 40, 36))]
    patches += [(long - 0.28, long, bonnet - 0.22, bonnet - 0.08, (226, 228, 226))]
    for door in range(body.panes + 1 if brush.scale > 22 else 0):
        at = body.glass[0] + 0.62 + door * 1.05
        patches += [(at, at + 0.03, 0.34, body.belt, times(paint, 0.45))]
    for rear, front, low, high, colour in patches:
        brush.face([(x, low, rear), (x, low, front), (x, high, front), (x, high, rear)][::side], colour)
    for middle in wheels:
        for radius, colour in _WHEEL if brush.scale > 22 else _WHEEL[1:3]:
            rim = [(x, max(0.0, body.wheel + y), middle + z) for z, y in ring(radius * body.wheel)]
            brush.face(rim[::side], colour)


def _paint_pane(brush: Brush, corners: Corners, across: Span) -> None:
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
    body, colour = BODIES[kind], usual[kind] if kind in usual and rng.random() < 0.6 else pick(rng, PAINTS)
    if not ahead:  # its rear is at the far end
        pose = Pose(pose.at((0.0, 0.0, -body.long)), pose.cosine, pose.sine)
    paint = functools.partial(_paint, body, colour, (rng.random() < 0.3, moving))
    return Thing(pose, rectangle(body.wide / 2, 0.0, body.long), body.high, CAR, paint)
