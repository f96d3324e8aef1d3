"""Who and what is in the scene, and where: the plan is drawn before anything is painted, because shadows come first."""

import math

import numpy as np

from segfast_edge.data.scene.buildings import draw_boundaries, draw_houses
from segfast_edge.data.scene.chance import pick, places, within
from segfast_edge.data.scene.greenery import draw_tree
from segfast_edge.data.scene.people import draw_cyclist, draw_pedestrian
from segfast_edge.data.scene.poles import Kind, draw_pole
from segfast_edge.data.scene.street import Street
from segfast_edge.data.scene.thing import Thing
from segfast_edge.data.scene.vehicles import draw_vehicle

SIGNS: dict[Kind, float] = {"stop": 0.2, "way": 0.2, "triangle": 0.24, "square": 0.24, "board": 0.12}
SIDES = (-1, 1)


def draw_cast(street: Street, rng: np.random.Generator) -> list[list[Thing]]:
    """Draw everything but the ground and the sky, in layers of which a later one stands before an earlier."""
    layers = ((draw_houses,), (_gardens,), (draw_boundaries,), (_avenue, _poles, _parked, _driving, _people, _riders))
    return [[thing for draw in layer for thing in draw(street, rng)] for layer in layers]


def _gardens(street: Street, rng: np.random.Generator) -> list[Thing]:
    """Draw trees and bushes between pavement and houses, and behind the houses' line where it is open."""
    park = street.quarter.built < 1
    if street.setback < 1.5 and not park:
        return []
    reach = street.setback + (14 if park else -0.5)
    return [
        draw_tree(
            rng,
            street.at(side * (street.plots + 1.0 + within(rng, (0, max(reach, 0.5)))), along),
            small=rng.uniform() < (0.3 if park else 0.5) or street.setback < 3,
        )
        for side in SIDES
        for along in places(rng, (2, 10), street.quarter.garden)
    ]


def _avenue(street: Street, rng: np.random.Generator) -> list[Thing]:
    """Draw trees along the kerb, if the quarter has them."""
    if rng.uniform() > street.quarter.avenue or street.pavement + street.verge < 2.0:
        return []
    across = street.half + (street.verge / 2 if street.verge else 0.8)
    gap = within(rng, (7, 16))
    return [
        draw_tree(rng, street.at(side * across, along))
        for side in SIDES
        if rng.uniform() < 0.8
        for along in places(rng, (5, 14), (gap * 0.8, gap * 1.3))
    ]


def _poles(street: Street, rng: np.random.Generator) -> list[Thing]:
    spots: list[tuple[Kind, float, float]] = []
    gap = within(rng, (18, 32))
    for side in SIDES:
        if rng.uniform() < 0.75:
            spots += [("lamp", side * (street.half + 0.5), along) for along in places(rng, (4, 18), (gap, gap + 4))]
        for along in places(rng, (5, 20), (8, 34)):
            spots.append((pick(rng, tuple(SIGNS), tuple(SIGNS.values())), side * (street.half + 0.55), along))
        if rng.uniform() < 0.2:
            spots += [("post", side * (street.half + 0.35), along) for along in places(rng, (3, 8), (1.8, 2.4))[:12]]
        if street.crossing is not None and rng.uniform() < 0.7:
            spots.append(("lights", side * (street.half + 0.45), street.crossing - 0.4))
    return [
        draw_pole(rng, kind, street.pose(across, along, float(rng.normal(0, 0.12))), -1 if across > 0 else 1)
        for kind, across, along in spots
    ]


def _parked(street: Street, rng: np.random.Generator) -> list[Thing]:
    """Draw the cars along both kerbs."""
    cars: list[Thing] = []
    for side in SIDES:
        if street.half <= 2.9 or rng.uniform() > street.quarter.parked:
            continue
        density = rng.uniform(0.35, 0.95)
        for along in places(rng, (3, 12), (5.6, 7.4)):
            free = street.crossing is not None and street.crossing - 6 < along < street.crossing + 4
            if rng.uniform() < density and not free:
                cars.append(_car(street, rng, (side * (street.half - 1.05), along), moving=False))
    return cars


def _driving(street: Street, rng: np.random.Generator) -> list[Thing]:
    """Draw the cars in the lanes."""
    cars: list[Thing] = []
    for lane in range(street.lanes):
        across = (lane + 0.5) * street.lane - street.half
        own = abs(across - street.own_lane) < 1
        inward = 0.9 if street.lanes == 2 and street.half > 3.3 else 0.0
        found = places(rng, (9, 45) if own else (4, 40), (12, 60))
        place = across - math.copysign(inward, across)
        cars += [_car(street, rng, (place, along), moving=True) for along in found if rng.uniform() < 0.7]
    return cars


def _car(street: Street, rng: np.random.Generator, place: tuple[float, float], *, moving: bool) -> Thing:
    """Draw a car whose near end is at ``place`` (across, along)."""
    ahead = street.ahead(place[0]) or (moving and street.lanes == 1)
    turn = (0.0 if ahead else math.pi) + float(rng.normal(0, 0.025))
    pose = street.pose(place[0] + float(rng.normal(0, 0.12)), place[1], turn)
    return draw_vehicle(rng, pose, moving=moving, ahead=ahead)


def _people(street: Street, rng: np.random.Generator) -> list[Thing]:
    """Draw those on the pavements and those who cross."""
    people: list[Thing] = []
    busy = street.quarter.people * pick(rng, (0.3, 1.0, 2.2))
    for side in SIDES:
        for _ in range(int(rng.poisson(3.2 * busy))):
            along, turn = 4 + 46 * within(rng, (0, 1)) ** 1.4, pick(rng, (0.0, math.pi)) + float(rng.normal(0, 0.35))
            for member in range(pick(rng, (1, 1, 2))):
                across = side * (street.walk + within(rng, (0.35, max(0.5, street.pavement - 0.3))))
                people.append(draw_pedestrian(rng, street.pose(across, along + 0.4 * member, turn)))
    if rng.uniform() > (0.12 if street.crossing is None else 0.75):
        return people
    for _ in range(int(rng.integers(1, 4))):
        along = within(rng, (8, 30)) if street.crossing is None else street.crossing + within(rng, (0.4, 2.6))
        turn = pick(rng, SIDES) * math.pi / 2 + float(rng.normal(0, 0.15))
        people.append(draw_pedestrian(rng, street.pose(within(rng, (-0.9, 0.9)) * street.half, along, turn)))
    return people


def _riders(street: Street, rng: np.random.Generator) -> list[Thing]:
    riders = []
    for _ in range(int(rng.poisson(0.7))):
        across = pick(rng, (-1, 1, 1)) * max(0.6, street.half - within(rng, (0.5, 2.4)))
        turn = (0.0 if street.ahead(across) else math.pi) + float(rng.normal(0, 0.08))
        riders.append(draw_cyclist(rng, street.pose(across, within(rng, (5, 40)), turn)))
    return riders
