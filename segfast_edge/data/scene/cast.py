"""Who and what is in the scene, and where: the plan is drawn before anything is painted, because shadows come first."""

import typing
from dataclasses import dataclass

import numpy as np

from segfast_edge.data.scene.boundaries import Boundary, draw_boundary
from segfast_edge.data.scene.buildings import House, draw_houses
from segfast_edge.data.scene.camera import Point
from segfast_edge.data.scene.canvas import Canvas
from segfast_edge.data.scene.chance import pick
from segfast_edge.data.scene.greenery import Tree, draw_tree
from segfast_edge.data.scene.poles import Kind, draw_pole
from segfast_edge.data.scene.shadows import Shadows
from segfast_edge.data.scene.street import Street
from segfast_edge.data.scene.traffic import draw_people, draw_traffic, places

SIGNS: tuple[Kind, ...] = ("round", "triangle", "square", "board")


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
    things: list[Thing] = [
        *_trees(street, rng),
        *_poles(street, rng),
        *draw_traffic(street, rng),
        *draw_people(street, rng),
    ]
    return Cast(houses, gardens, boundaries, things)


def _gardens(street: Street, rng: np.random.Generator) -> list[Tree]:
    """Trees and bushes between pavement and houses, and behind the houses' line where it is open."""
    if street.setback < 1.5 and street.quarter != "park":
        return []
    trees = []
    inner = street.half + street.verge + street.pavement
    gap = {"park": (2.0, 9.0), "suburb": (3.0, 14.0)}.get(street.quarter, (6.0, 25.0))
    for side in (-1, 1):
        for along in places(rng, float(rng.uniform(2, 10)), gap):
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
    across = street.half + (street.verge / 2 if street.verge else 0.8)
    gap = float(rng.uniform(7, 16))
    return [
        draw_tree(rng, street.at(side * across, along), along)
        for side in (-1, 1)
        if rng.uniform() < 0.8
        for along in places(rng, float(rng.uniform(5, 14)), (gap * 0.8, gap * 1.3))
    ]


def _poles(street: Street, rng: np.random.Generator) -> list[Thing]:
    spots: list[tuple[Kind, float, float]] = []
    gap = float(rng.uniform(18, 32))
    for side in (-1, 1):
        if rng.uniform() < 0.75:
            lamps = places(rng, float(rng.uniform(4, 18)), (gap, gap + 4))
            spots += [("lamp", side * (street.half + 0.5), along) for along in lamps]
        for along in places(rng, float(rng.uniform(5, 20)), (8, 34)):
            spots.append((pick(rng, SIGNS, (0.38, 0.24, 0.26, 0.12)), side * (street.half + 0.55), along))
        if rng.uniform() < 0.2:
            posts = places(rng, float(rng.uniform(3, 8)), (1.8, 2.4))[:12]
            spots += [("post", side * (street.half + 0.35), along) for along in posts]
        if street.crossing is not None and rng.uniform() < 0.7:
            spots.append(("lights", side * (street.half + 0.45), street.crossing - 0.4))
    return [draw_pole(rng, street, kind, (across, along)) for kind, across, along in spots]
