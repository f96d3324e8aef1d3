"""Who and what is in the scene, and where: the plan is drawn before anything is painted, because shadows come first."""

import typing
from dataclasses import dataclass, replace

import numpy as np

from segfast_edge.data.scene.buildings import House, draw_houses
from segfast_edge.data.scene.camera import Point
from segfast_edge.data.scene.canvas import Canvas
from segfast_edge.data.scene.furniture import Boundary, draw_boundary, draw_pole
from segfast_edge.data.scene.greenery import Tree, draw_tree
from segfast_edge.data.scene.people import draw_cyclist, draw_pedestrian
from segfast_edge.data.scene.shadows import Shadows
from segfast_edge.data.scene.street import Pose, Street
from segfast_edge.data.scene.vehicles import draw_vehicle

FARTHEST_M = 95.0


class Thing(typing.Protocol):
    """Something that stands on the street."""

    @property
    def along(self) -> float:
        """How far away it is, for the order of painting."""

    @property
    def foot(self) -> Point:
        """Where it stands."""

    def shade(self, shadows: Shadows) -> None:
        """Cast its shadow."""

    def paint_on(self, canvas: Canvas, lit: float) -> None:
        """Paint it."""


@dataclass(frozen=True, slots=True)
class Cast:
    """Everything in a scene but the ground and the sky."""

    houses: list[House]
    gardens: list[Tree]
    boundaries: list[Boundary]
    things: list[Thing]


def draw_cast(street: Street, rng: np.random.Generator) -> Cast:
    """Draw all of it."""
    houses = draw_houses(street, rng)
    gardens = _gardens(street, rng)
    boundaries = _boundaries(street, rng)
    things: list[Thing] = [*_trees(street, rng), *_poles(street, rng), *_traffic(street, rng), *_people(street, rng)]
    return Cast(houses, gardens, boundaries, things)


def _steps(rng: np.random.Generator, first: float, gap: tuple[float, float]) -> list[float]:
    """Return places along the street, ``gap`` (from, to) metres apart."""
    places, at = [], first
    while at < FARTHEST_M:
        places.append(at)
        at += float(rng.uniform(*gap))
    return places


def _gardens(street: Street, rng: np.random.Generator) -> list[Tree]:
    """Trees and bushes between pavement and houses, and behind the houses' line where it is open."""
    if street.setback < 1.5 and street.quarter != "park":
        return []
    trees = []
    inner = street.half + street.verge + street.pavement
    gap = {"park": (2.0, 9.0), "suburb": (3.0, 14.0)}.get(street.quarter, (6.0, 25.0))
    for side in (-1, 1):
        for along in _steps(rng, float(rng.uniform(2, 10)), gap):
            reach = street.setback + (14 if street.quarter == "park" else -0.5)
            across = side * (inner + 1.0 + float(rng.uniform(0, max(reach, 0.5))))
            small = rng.uniform() < (0.3 if street.quarter == "park" else 0.5) or street.setback < 3
            trees.append(draw_tree(rng, street.at(across, along), along, small))
    return trees


def _boundaries(street: Street, rng: np.random.Generator) -> list[Boundary]:
    if street.setback < 1.2 or rng.uniform() < 0.2:
        return []
    found = []
    for side in (-1, 1):
        at = float(rng.uniform(-8, 0))
        while at < 70:
            long = float(rng.uniform(5, 14))
            if rng.uniform() < (0.75 if street.quarter != "park" else 0.35):
                found.append(draw_boundary(rng, street, side, (at, at + long)))
            at += long + (float(rng.uniform(1, 4)) if rng.uniform() < 0.5 else 0.0)
    return found


def _trees(street: Street, rng: np.random.Generator) -> list[Tree]:
    """An avenue along the kerb, where the quarter has one."""
    if rng.uniform() > {"terrace": 0.3, "city": 0.5, "suburb": 0.45, "park": 0.6}[street.quarter]:
        return []
    if street.pavement + street.verge < 2.0:
        return []
    trees = []
    across = street.half + (street.verge / 2 if street.verge else 0.8)
    gap = float(rng.uniform(7, 16))
    for side in (-1, 1):
        if rng.uniform() < 0.8:
            for along in _steps(rng, float(rng.uniform(5, 14)), (gap * 0.8, gap * 1.3)):
                trees.append(draw_tree(rng, street.at(side * across, along), along))
    return trees


def _poles(street: Street, rng: np.random.Generator) -> list[Thing]:
    poles: list[Thing] = []
    gap = float(rng.uniform(18, 32))
    for side in (-1, 1):
        if rng.uniform() < 0.75:
            for along in _steps(rng, float(rng.uniform(4, 18)), (gap, gap + 4)):
                poles.append(draw_pole(rng, street, "lamp", (side * (street.half + 0.5), along)))
        for along in _steps(rng, float(rng.uniform(5, 20)), (8, 34)):
            kind = ("round", "triangle", "square", "board")[int(rng.choice(4, p=(0.38, 0.24, 0.26, 0.12)))]
            poles.append(draw_pole(rng, street, kind, (side * (street.half + 0.55), along)))  # type: ignore[arg-type]
        if rng.uniform() < 0.2:
            for along in _steps(rng, float(rng.uniform(3, 8)), (1.8, 2.4))[:12]:
                poles.append(draw_pole(rng, street, "post", (side * (street.half + 0.35), along)))
        if street.crossing is not None and rng.uniform() < 0.7:
            poles.append(draw_pole(rng, street, "lights", (side * (street.half + 0.45), street.crossing - 0.4)))
    return poles


def _traffic(street: Street, rng: np.random.Generator) -> list[Thing]:
    cars: list[Thing] = []
    driving = 1 if street.right_hand else -1
    parked = {"terrace": 0.75, "city": 0.55, "suburb": 0.4, "park": 0.3}[street.quarter]
    for side in (-1, 1):
        if street.half > 2.9 and rng.uniform() < parked:
            density = rng.uniform(0.35, 0.95)
            for along in _steps(rng, float(rng.uniform(3, 12)), (5.6, 7.4)):
                if rng.uniform() < density and not _on_crossing(street, along):
                    turned = 0.0 if side == driving else np.pi
                    cars.append(_car(street, rng, (side * (street.half - 1.05), along), float(turned)))
    for lane in range(street.lanes):
        across = (lane + 0.5) * street.lane - street.half
        same = street.lanes == 1 or across * driving > 0
        first = float(rng.uniform(9, 45)) if abs(across - street.own_lane) < 1 else float(rng.uniform(4, 40))
        for along in _steps(rng, first, (12, 60)):
            if rng.uniform() < 0.7:
                inward = across - np.sign(across) * (0.9 if street.lanes == 2 and street.half > 3.3 else 0.0)
                cars.append(_car(street, rng, (float(inward), along), 0.0 if same else float(np.pi), moving=True))
    return cars


def _on_crossing(street: Street, along: float) -> bool:
    return street.crossing is not None and street.crossing - 6 < along < street.crossing + 4


def _car(street: Street, rng: np.random.Generator, place: tuple[float, float], turn: float, moving: bool = False) -> Thing:
    pose = street.pose(place[0] + float(rng.normal(0, 0.12)), place[1], turn + float(rng.normal(0, 0.025)))
    vehicle = draw_vehicle(rng, pose, place[1], moving)
    if turn:  # the pose is under the rear end; what comes towards us has it at the far side
        x, y, z = vehicle.pose.at(-vehicle.body.long, 0, 0)
        vehicle = replace(vehicle, pose=Pose((x, y, z), vehicle.pose.heading))
    return vehicle


def _people(street: Street, rng: np.random.Generator) -> list[Thing]:
    people: list[Thing] = []
    busy = float(rng.choice([0.3, 1.0, 2.2])) * {"terrace": 0.8, "city": 1.4, "suburb": 0.5, "park": 0.7}[street.quarter]
    inner = street.half + street.verge
    for side in (-1, 1):
        for _ in range(int(rng.poisson(3.2 * busy))):
            along = float(4 + 46 * rng.uniform() ** 1.4)
            heading = (0.0 if rng.uniform() < 0.5 else np.pi) + float(rng.normal(0, 0.35))
            for member in range(1 + int(rng.uniform() < 0.3)):
                across = side * (inner + float(rng.uniform(0.35, max(0.5, street.pavement - 0.3))))
                people.append(draw_pedestrian(rng, street.pose(across, along + 0.4 * member, float(heading)), along))
    crossing = rng.uniform() < (0.75 if street.crossing is not None else 0.12)
    if crossing:
        for _ in range(int(rng.integers(1, 4))):
            along = street.crossing + float(rng.uniform(0.4, 2.6)) if street.crossing is not None else float(rng.uniform(8, 30))
            turn = float(rng.choice([-1, 1])) * np.pi / 2 + float(rng.normal(0, 0.15))
            people.append(draw_pedestrian(rng, street.pose(float(rng.uniform(-0.9, 0.9)) * street.half, along, turn), along))
    for _ in range(int(rng.poisson(0.7))):
        side = 1 if rng.uniform() < 0.65 else -1
        turn = 0.0 if (side > 0) == street.right_hand else np.pi
        along = float(rng.uniform(5, 40))
        across = side * max(0.6, street.half - float(rng.uniform(0.5, 2.4)))
        people.append(draw_cyclist(rng, street.pose(across, along, float(turn) + float(rng.normal(0, 0.08))), along))
    return people
