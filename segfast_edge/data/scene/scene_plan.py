"""The plan of a scene: everything in it and its place, drawn before anything is painted, because shadows come first."""

import functools
import math
from collections.abc import Callable, Sequence

import numpy as np

from segfast_edge.data.scene.buildings import draw_backdrop, draw_boundaries, draw_houses
from segfast_edge.data.scene.chance import Span, pick, places, within
from segfast_edge.data.scene.greenery import draw_tree
from segfast_edge.data.scene.people import draw_cyclist, draw_pedestrian
from segfast_edge.data.scene.poles import Kind, draw_pole
from segfast_edge.data.scene.street import Street
from segfast_edge.data.scene.thing import Thing
from segfast_edge.data.scene.vehicles import draw_vehicle

# things in a row on either side: the chance that there are any, how far across from and to, the first along the street,
# the gap from one to the next, and what draws one (across, along)
Row = tuple[float, float, float, Span, Span, Callable[[float, float], Thing]]
SIGNS: tuple[Kind, ...] = ("entry", "way", "triangle", "square", "entry", "way", "triangle", "square", "board")
SIDES = (-1, 1)


def draw_cast(street: Street, rng: np.random.Generator) -> list[list[Thing]]:
    """Draw everything but the ground and the sky, in layers of which a later one stands before an earlier."""
    return [
        draw_backdrop(street, rng),
        draw_houses(street, rng),
        _rows(street, rng, [_gardens(street, rng)]),
        draw_boundaries(street, rng),
        [*_rows(street, rng, _kerb(street, rng)), *_driving(street, rng), *_crossing(street, rng)],
    ]


def _rows(street: Street, rng: np.random.Generator, rows: Sequence[Row]) -> list[Thing]:
    clear = (-6.0, -6.0) if street.crossing is None else (street.crossing - 6, street.crossing + 4)
    return [
        draw(side * within(rng, (near, far)), along)
        for side in SIDES
        for chance, near, far, first, gap, draw in rows
        for along in (places(rng, first, gap) if rng.random() < chance else ())
        if not clear[0] < along < clear[1]
    ]


def _gardens(street: Street, rng: np.random.Generator) -> Row:
    """Return the trees and bushes before the houses, and behind their line where it is open."""
    park, deep, plots = street.quarter.built < 1, street.fronts - street.plots, street.plots
    bushes = 1.0 if deep < 3 else 0.3 if park else 0.5
    near, far = plots + 1.0, plots + max(1.5, deep + (15 if park else 0.5))
    return (
        float(deep > 1.5 or park), near, far, (2, 10), street.quarter.garden,
        lambda across, along: draw_tree(rng, street.at(across, along), small=rng.random() < bushes),
    )  # fmt: skip


def _kerb(street: Street, rng: np.random.Generator) -> list[Row]:
    """Return the trees, poles, cars and people along either kerb."""
    quarter, half, walk, plots = street.quarter, street.half, street.walk, street.plots
    gap, lamps = within(rng, (7, 14)), within(rng, (18, 32))
    crowd = 36 / quarter.people / pick(rng, (0.3, 1.0, 2.2))
    avenue = (half + walk) / 2 if walk > half else half + 0.8

    def pole(kinds: Sequence[Kind], across: float, along: float) -> Thing:
        pose = street.pose(across, along, float(rng.normal(0, 0.12)))
        return draw_pole(rng, pick(rng, kinds), pose, -1 if across > 0 else 1)

    def person(across: float, along: float) -> Thing:
        return draw_pedestrian(rng, street.pose(across, along, pick(rng, (0.0, math.pi)) + float(rng.normal(0, 0.3))))

    return [
        (quarter.avenue * (plots - half > 2), avenue, avenue, (5, 14), (gap, gap * 1.6),
         lambda across, along: draw_tree(rng, street.at(across, along))),
        (0.75, half + 0.5, half + 0.5, (4, 18), (lamps, lamps + 4), functools.partial(pole, ("lamp",))),
        (1.0, half + 0.55, half + 0.55, (5, 20), (8, 34), functools.partial(pole, SIGNS)),
        (0.2, half + 0.35, half + 0.35, (3, 8), (1.8, 2.4), functools.partial(pole, ("post",))),
        (quarter.parked * (half > 2.9), half - 1.2, half - 0.9, (3, 12), (5.6, within(rng, (6, 26))),
         lambda across, along: _car(street, rng, (across, along), moving=False)),
        (1.0, walk + 0.35, max(walk + 0.5, plots - 0.3), (4, 4 + crowd), (0.3, crowd), person),
        (0.4, half - 2.2, half - 0.5, (5, 40), (20, 85),
         lambda across, along: draw_cyclist(rng, street.pose(across, along, street.turn(across)))),
    ]  # fmt: skip


def _driving(street: Street, rng: np.random.Generator) -> list[Thing]:
    """Draw the cars in the lanes."""
    cars: list[Thing] = []
    inward = 0.9 if street.lanes == 2 and street.half > 3.3 else 0.0
    for across in ((lane + 0.5) * street.lane - street.half for lane in range(street.lanes)):
        found = places(rng, (9, 45) if abs(across - street.own) < 1 else (4, 40), (12, 80))
        cars += [_car(street, rng, (across - math.copysign(inward, across), along), moving=True) for along in found]
    return cars


def _car(street: Street, rng: np.random.Generator, place: tuple[float, float], *, moving: bool) -> Thing:
    """Draw a car whose near end is at ``place`` (across, along)."""
    turn = 0.0 if moving and street.lanes == 1 else street.turn(place[0])
    pose = street.pose(place[0] + float(rng.normal(0, 0.1)), place[1], turn + float(rng.normal(0, 0.025)))
    return draw_vehicle(rng, pose, moving=moving, ahead=turn == 0)


def _crossing(street: Street, rng: np.random.Generator) -> list[Thing]:
    """Draw the lights of a crossing, and those who cross there or elsewhere."""
    at, zebra, across = street.crossing or within(rng, (8, 30)), street.crossing is not None, street.half + 0.45
    sides = SIDES if zebra and rng.random() < 0.6 else ()
    found = [draw_pole(rng, "lights", street.pose(side * across, at - 0.4), -side) for side in sides]
    for _ in range(pick(rng, (1, 2, 3)) if rng.random() < (0.75 if zebra else 0.12) else 0):
        along = at + within(rng, (0.4, 2.6))
        turn = pick(rng, SIDES) * math.pi / 2 + float(rng.normal(0, 0.15))
        found.append(draw_pedestrian(rng, street.pose(within(rng, (-0.9, 0.9)) * street.half, along, turn)))
    return found
