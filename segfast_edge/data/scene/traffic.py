"""Who is under way: parked and driving cars, people on the pavement and on the crossing, cyclists."""

import math
from dataclasses import replace

import numpy as np

from segfast_edge.data.scene.chance import pick
from segfast_edge.data.scene.people import Cyclist, Pedestrian, draw_cyclist, draw_pedestrian
from segfast_edge.data.scene.street import Street
from segfast_edge.data.scene.vehicles import Vehicle, draw_vehicle

FARTHEST_M = 85.0


def places(rng: np.random.Generator, first: float, gap: tuple[float, float]) -> list[float]:
    """Return places along the street, ``gap`` (from, to) metres apart."""
    found, at = [], first
    while at < FARTHEST_M:
        found.append(at)
        at += float(rng.uniform(*gap))
    return found


def draw_traffic(street: Street, rng: np.random.Generator) -> list[Vehicle]:
    """Draw the cars that park along both kerbs and those that drive in the lanes."""
    return _parked(street, rng) + _driving(street, rng)


def _parked(street: Street, rng: np.random.Generator) -> list[Vehicle]:
    cars: list[Vehicle] = []
    chance = {"terrace": 0.75, "city": 0.55, "suburb": 0.4, "park": 0.3}[street.quarter]
    for side in (-1, 1):
        if street.half <= 2.9 or rng.uniform() > chance:
            continue
        density = rng.uniform(0.35, 0.95)
        turn = 0.0 if (side > 0) == street.right_hand else math.pi
        for along in places(rng, float(rng.uniform(3, 12)), (5.6, 7.4)):
            free = street.crossing is not None and street.crossing - 6 < along < street.crossing + 4
            if rng.uniform() < density and not free:
                cars.append(_car(street, rng, (side * (street.half - 1.05), along), turn))
    return cars


def _driving(street: Street, rng: np.random.Generator) -> list[Vehicle]:
    cars: list[Vehicle] = []
    for lane in range(street.lanes):
        across = (lane + 0.5) * street.lane - street.half
        ahead = street.lanes == 1 or (across > 0) == street.right_hand
        own = abs(across - street.own_lane) < 1
        inward = 0.9 if street.lanes == 2 and street.half > 3.3 else 0.0
        across -= math.copysign(inward, across)
        found = places(rng, float(rng.uniform(9, 45) if own else rng.uniform(4, 40)), (12, 60))
        turn = 0.0 if ahead else math.pi
        cars += [_car(street, rng, (across, along), turn, moving=True) for along in found if rng.uniform() < 0.7]
    return cars


def _car(
    street: Street, rng: np.random.Generator, place: tuple[float, float], turn: float, *, moving: bool = False
) -> Vehicle:
    """Draw a car whose near end is at ``place`` (across, along)."""
    pose = street.pose(place[0] + float(rng.normal(0, 0.12)), place[1], turn + float(rng.normal(0, 0.025)))
    vehicle = draw_vehicle(rng, pose, place[1], moving)
    if not turn:
        return vehicle
    rear = pose.at(-vehicle.body.long, 0, 0)  # what comes towards us has its rear at the far side
    return replace(vehicle, pose=replace(pose, foot=rear))


def draw_people(street: Street, rng: np.random.Generator) -> list[Pedestrian | Cyclist]:
    """Draw those on the pavements, those who cross, and those on bicycles."""
    return [*_walking(street, rng), *_crossing(street, rng), *_cycling(street, rng)]


def _walking(street: Street, rng: np.random.Generator) -> list[Pedestrian]:
    people: list[Pedestrian] = []
    busy = {"terrace": 0.8, "city": 1.4, "suburb": 0.5, "park": 0.7}[street.quarter] * pick(rng, (0.3, 1.0, 2.2))
    inner = street.half + street.verge
    for side in (-1, 1):
        for _ in range(int(rng.poisson(3.2 * busy))):
            along = float(4 + 46 * rng.uniform() ** 1.4)
            heading = (0.0 if rng.uniform() < 0.5 else math.pi) + float(rng.normal(0, 0.35))
            for member in range(1 + int(rng.uniform() < 0.3)):
                across = side * (inner + float(rng.uniform(0.35, max(0.5, street.pavement - 0.3))))
                people.append(draw_pedestrian(rng, street.pose(across, along + 0.4 * member, heading), along))
    return people


def _crossing(street: Street, rng: np.random.Generator) -> list[Pedestrian]:
    if rng.uniform() > (0.12 if street.crossing is None else 0.75):
        return []
    people = []
    for _ in range(int(rng.integers(1, 4))):
        along = float(rng.uniform(8, 30) if street.crossing is None else street.crossing + rng.uniform(0.4, 2.6))
        turn = pick(rng, (-1, 1)) * math.pi / 2 + float(rng.normal(0, 0.15))
        across = float(rng.uniform(-0.9, 0.9)) * street.half
        people.append(draw_pedestrian(rng, street.pose(across, along, turn), along))
    return people


def _cycling(street: Street, rng: np.random.Generator) -> list[Cyclist]:
    riders = []
    for _ in range(int(rng.poisson(0.7))):
        side = 1 if rng.uniform() < 0.65 else -1
        turn = 0.0 if (side > 0) == street.right_hand else math.pi
        along = float(rng.uniform(5, 40))
        across = side * max(0.6, street.half - float(rng.uniform(0.5, 2.4)))
        riders.append(draw_cyclist(rng, street.pose(across, along, turn + float(rng.normal(0, 0.08))), along))
    return riders
