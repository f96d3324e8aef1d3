"""Pedestrians and cyclists: jointed figures in three dimensions, so that they can face any way."""

import math

import numpy as np

from segfast_edge.data.scene.camera import Point, Pose
from segfast_edge.data.scene.chance import pick, within
from segfast_edge.data.scene.classes import BICYCLIST, PEDESTRIAN
from segfast_edge.data.scene.light import Rgb, times
from segfast_edge.data.scene.thing import Rod, Thing, rectangle, ring

SKIN: tuple[Rgb, ...] = ((226, 180, 152), (198, 148, 116), (150, 104, 76), (98, 66, 48))
HAIR: tuple[Rgb, ...] = ((36, 28, 24), (74, 50, 34), (136, 100, 60), (160, 156, 152))
TOPS: tuple[Rgb, ...] = (
    (36, 40, 52), (70, 72, 76), (160, 36, 40), (34, 64, 118), (206, 202, 194), (52, 84, 60), (120, 92, 66),
    (222, 178, 50), (96, 56, 92), (24, 24, 28), (206, 230, 60),
)  # fmt: skip
LEGS: tuple[Rgb, ...] = ((30, 34, 48), (56, 72, 104), (24, 24, 26), (108, 98, 84), (72, 72, 74))
_SHOE, _TYRE = (28, 26, 26), (26, 26, 28)
SIDES = (-1, 1)
# colours of skin, hair, top and legs, whether a long coat or a helmet is worn, and whether a bag is carried
Look = tuple[Rgb, Rgb, Rgb, Rgb, bool, bool]


def _draw_look(rng: np.random.Generator) -> Look:
    skin, hair, top, legs = (pick(rng, part) for part in (SKIN, HAIR, TOPS, LEGS))
    return skin, hair, times(top, within(rng, (0.8, 1.15))), legs, rng.random() < 0.4, rng.random() < 0.4


def _head(look: Look, size: float, at: Point) -> list[Rod]:
    """Return neck, hair and face; seen from behind, the hair is in front of the face."""
    (skin, hair, *_), (x, y, z) = look, at
    neck: Rod = ([(x, y - 0.8 * size, z), (x, y - 0.4 * size, z)], (0.42 * size, 0.42 * size), skin)
    return [neck, ([at], (size, 0), hair), ([(x, y - 0.11 * size, z + 0.18 * size)], (0.82 * size, 0), skin)]


def _walker(look: Look, high: float, stride: float) -> list[Rod]:
    """Return somebody on foot; ``stride`` from -1 to 1 says which leg leads, and how far."""
    skin, _, top, legs, coat, bag = look
    h, hem = high, 0.36 if coat else 0.49
    rods = [
        *_head(look, 0.136 * h, (0, 0.93 * h, 0.01)),
        ([(-0.09 * h, 0.8 * h, 0), (0.09 * h, 0.8 * h, 0)], (0.09 * h, 0.09 * h), top),
    ]
    if bag:
        rods.append(([(0, 0.58 * h, -0.09 * h), (0, 0.74 * h, -0.09 * h)], (0.13 * h, 0.15 * h), times(legs, 0.8)))
    for side in SIDES:  # two halves of a trunk make it slimmer from the side
        shade, step, leg, arm = 0.94 + 0.06 * side, stride * side * h, 0.05 * side * h, 0.16 * side * h
        trunk: list[Point] = [(0.036 * side * h, hem * h, 0), (0.042 * side * h, 0.78 * h, 0)]
        heel: Point = (leg, 0.04 * h, 0.24 * step)
        hand: Point = (arm, 0.48 * h, 0.05 - 0.16 * step)
        rods += [
            (trunk, (0.13 * h, 0.14 * h), times(top, shade)),
            ([(leg, 0.5 * h, 0), (leg, 0.28 * h, 0.03 + 0.13 * step), heel], (0.105 * h, 0.06 * h), times(legs, shade)),
            ([heel, (leg, 0.03, heel[2] + 0.11)], (0.055 * h, 0.045 * h), _SHOE),
            ([(0.8 * arm, 0.8 * h, 0), (arm, 0.62 * h, -0.1 * step), hand], (0.062 * h, 0.045 * h), times(top, shade)),
            ([hand], (0.056 * h, 0), skin),
        ]
    return rods


def _rider(look: Look, pedal: float) -> list[Rod]:
    """Return a cyclist, measured from between the wheels; ``pedal`` is the crank's angle."""
    skin, _, top, legs, helmet, bag = look
    rods = [*_head(look, 0.23, (0, 1.65, 0.25)), *_bicycle(times(top, 0.8))]
    if bag:
        rods.append(([(0, 1.12, -0.2), (0, 1.4, 0)], (0.26, 0.24), times(legs, 1.2)))
    if helmet:
        rods.append(([(0, 1.73, 0.24)], (0.23, 0), (226, 226, 222)))
    for side in SIDES:
        turn = pedal + math.pi * side / 2
        up, forward = 0.3 + 0.17 * math.sin(turn), 0.17 * math.cos(turn) - 0.05
        sole: Point = (0.1 * side, up, forward)
        rods += [
            ([(0.06 * side, 1.0, -0.22), (0.09 * side, 1.44, 0.14)], (0.22, 0.24), top),
            ([(0.08 * side, 1.0, -0.22), (0.11 * side, 0.6 + up / 2, forward / 2 + 0.15), sole], (0.17, 0.1), legs),
            ([sole, (0.1 * side, up, forward + 0.16)], (0.08, 0.07), _SHOE),
            ([(0.17 * side, 1.44, 0.14), (0.24 * side, 1.18, 0.32), (0.22 * side, 1.02, 0.45)], (0.1, 0.075), top),
            ([(0.22 * side, 1.02, 0.45)], (0.085, 0), skin),
        ]
    return rods


def _bicycle(colour: Rgb) -> list[Rod]:
    rear, front, crank, neck, bar = (0, 0.34, -0.52), (0, 0.34, 0.52), (0, 0.3, -0.05), (0, 0.82, 0.38), (0, 1.0, 0.45)
    tubes = ([rear, crank, neck], [(0, 0.92, -0.25), crank], [rear, (0, 0.75, -0.2), neck], [bar, front])
    rods: list[Rod] = [(joints, (0.045, 0.045), colour) for joints in tubes]
    rods.append(([(-0.26, 1.0, 0.45), (0.26, 1.0, 0.45)], (0.04, 0.04), _TYRE))
    for hub in (rear[2], front[2]):
        rim: list[Point] = [(0, 0.34 + y, hub + z) for y, z in ring(0.34)]
        rods.append(([*rim, rim[0]], (0.05, 0.05), _TYRE))
        rods += [([rim[k], rim[k + 8]], (0.012, 0.012), (120, 120, 124)) for k in range(0, 8, 2)]
    return rods


def draw_pedestrian(rng: np.random.Generator, pose: Pose) -> Thing:
    """Draw somebody on foot there."""
    high = float(rng.normal(1.71, 0.09)) if rng.random() < 0.9 else within(rng, (1.05, 1.4))
    rods = _walker(_draw_look(rng), high, within(rng, (-1.0, 1.0)) if rng.random() < 0.75 else 0.1)
    return Thing(pose, rectangle(0.24, -0.2, 0.2), high, PEDESTRIAN, lambda brush: brush.rods(rods))


def draw_cyclist(rng: np.random.Generator, pose: Pose) -> Thing:
    """Draw somebody on a bicycle there."""
    rods = _rider(_draw_look(rng), within(rng, (0, 2 * math.pi)))
    return Thing(pose, rectangle(0.14, -0.8, 0.8), 1.6, BICYCLIST, lambda brush: brush.rods(rods))
