"""The street's plan: widths, bend, lanes, and what kind of quarter it runs through."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from segfast_edge.data.scene.camera import Point, Pose
from segfast_edge.data.scene.chance import Span, pick, within


class Quarter(NamedTuple):
    """The style of a quarter; spans in metres, shares and chances 0 to 1."""

    chance: float
    lanes: tuple[int, ...]  # one of them
    pavement: Span
    setback: Span  # from the pavement to the fronts
    house: Span  # width
    storeys: Span  # a front's height
    gaps: float  # chance of a gap after a house
    gap: Span
    built: float  # share of plots with a house
    materials: tuple[float, ...]  # chances of brick, stucco, stone, concrete, glass
    shops: float
    grass: float  # chance of a lawn before the houses
    avenue: float  # chance of trees along the kerb
    garden: Span  # from tree to tree before the houses
    parked: float
    people: float


QUARTERS = (  # terrace, city, suburb, park
    Quarter(0.32, (1, 2, 2), (1.5, 3.0), (0.0, 2.5), (5, 9), (6.0, 11.5), 0.1, (2.5, 10), 1.0,
            (0.55, 0.3, 0.15, 0.0, 0.0), 0.3, 0.2, 0.3, (6.0, 25.0), 0.75, 0.8),
    Quarter(0.36, (2, 2, 3, 4), (1.5, 4.5), (0.0, 0.8), (9, 24), (9.0, 26.0), 0.16, (2.5, 10), 1.0,
            (0.22, 0.22, 0.24, 0.18, 0.14), 0.6, 0.2, 0.5, (6.0, 25.0), 0.55, 1.4),
    Quarter(0.2, (2,), (1.5, 3.0), (3.0, 9.0), (8, 13), (4.8, 7.5), 0.95, (2.5, 10), 1.0,
            (0.5, 0.4, 0.1, 0.0, 0.0), 0.0, 1.0, 0.45, (3.0, 14.0), 0.4, 0.5),
    Quarter(0.12, (2, 2, 4), (1.5, 3.0), (6.0, 22.0), (12, 26), (7.0, 20.0), 0.97, (8, 40), 0.45,
            (0.3, 0.3, 0.2, 0.2, 0.0), 0.05, 1.0, 0.6, (2.0, 9.0), 0.3, 0.7),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Street:
    """Measures in metres; ``across`` is counted to the right from the road's middle, ``along`` forward."""

    quarter: Quarter
    lanes: int
    lane: float  # width
    own: float  # how far across the camera drives
    half: float  # from the middle to the kerb
    walk: float  # to the pavement; there is a strip of grass between if it is farther than the kerb
    plots: float  # to where the pavement ends
    fronts: float  # to the buildings
    bend: float  # 1/m
    right_hand: bool  # on which side one drives
    grass: bool  # between pavement and buildings
    crossing: float | None  # how far away a zebra crossing begins

    def at(self, across: float, along: float) -> Point:
        """Return the world point on the ground."""
        return across + self.bend * along * along / 2, 0.0, along

    def pose(self, across: float, along: float, turn: float = 0.0) -> Pose:
        """Return a pose on the ground, turned by ``turn`` against the street's run there."""
        return Pose.turned(self.at(across, along), math.atan(self.bend * along) + turn)

    def front(self, across: float, span: Span) -> Pose:
        """Return the pose of a straight front along the bend, at its middle, with its back to the plots."""
        (x, _, z), (ahead, _, beyond) = (self.at(across, along) for along in span)
        turn = math.copysign(math.pi / 2, across)
        return Pose.turned(((x + ahead) / 2, 0.0, (z + beyond) / 2), math.atan2(ahead - x, beyond - z) + turn)

    def turn(self, across: float) -> float:
        """Return which way one drives on that side: 0 away from the camera, pi towards it."""
        return 0.0 if (across > 0) == self.right_hand else math.pi


def draw_street(rng: np.random.Generator) -> Street:
    """Draw a street."""
    quarter = pick(rng, QUARTERS, [quarter.chance for quarter in QUARTERS])
    lanes, right_hand = pick(rng, quarter.lanes), rng.random() < 0.6
    half = lanes * within(rng, (1.35, 1.75)) + (1.4 if lanes == 1 else within(rng, (0, 0.4)))
    walk = half + (within(rng, (0.8, 2.0)) if quarter.grass == 1 and rng.random() < 0.4 else 0.0)
    plots = walk + within(rng, quarter.pavement)
    return Street(
        quarter,
        lanes,
        lane=2 * half / lanes,
        own=(half - half / lanes) * (1 if right_hand else -1),
        half=half,
        walk=walk,
        plots=plots,
        fronts=plots + within(rng, quarter.setback),
        bend=min(max(float(rng.normal(0, 0.0022)), -0.005), 0.005) if rng.random() < 0.6 else 0.0,
        right_hand=right_hand,
        grass=rng.random() < quarter.grass,
        crossing=within(rng, (7, 30)) if rng.random() < 0.3 else None,
    )
