"""The street's plan: widths, bend, lanes, and what kind of quarter it runs through."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from segfast_edge.data.scene.camera import Point, Pose
from segfast_edge.data.scene.chance import Span, pick, within


class Quarter(NamedTuple):
    """How a quarter is built; spans in metres, shares and chances 0 to 1."""

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
    half: float  # from the middle to the kerb
    lanes: int
    verge: float  # strip of grass between kerb and pavement; 0 if there is none
    pavement: float
    setback: float  # from the pavement to the buildings
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

    def ahead(self, across: float) -> bool:
        """Say whether one drives away from the camera on that side."""
        return (across > 0) == self.right_hand

    @property
    def lane(self) -> float:
        """Width of a lane."""
        return 2 * self.half / self.lanes

    @property
    def walk(self) -> float:
        """From the middle to where the pavement begins."""
        return self.half + self.verge

    @property
    def plots(self) -> float:
        """From the middle to where the pavement ends."""
        return self.walk + self.pavement

    @property
    def own_lane(self) -> float:
        """How far across the camera drives."""
        side = 1 if self.right_hand else -1
        return side * (self.half - self.lane / 2) if self.lanes > 1 else 0.0


def draw_street(rng: np.random.Generator) -> Street:
    """Draw a street."""
    quarter = pick(rng, QUARTERS, [quarter.chance for quarter in QUARTERS])
    lanes = pick(rng, quarter.lanes)
    bend = rng.normal(0, 0.0022) if rng.uniform() < 0.6 else 0.0
    return Street(
        quarter=quarter,
        half=lanes * within(rng, (1.35, 1.75)) + (1.4 if lanes == 1 else within(rng, (0, 0.4))),
        lanes=lanes,
        verge=within(rng, (0.8, 2.0)) if quarter.grass == 1 and rng.uniform() < 0.4 else 0.0,
        pavement=within(rng, quarter.pavement),
        setback=within(rng, quarter.setback),
        bend=float(np.clip(bend, -0.005, 0.005)),
        right_hand=bool(rng.uniform() < 0.6),
        grass=bool(rng.uniform() < quarter.grass),
        crossing=within(rng, (7, 30)) if rng.uniform() < 0.3 else None,
    )
