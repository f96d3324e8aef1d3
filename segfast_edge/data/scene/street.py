"""The street's plan: widths, bend, lanes, and what kind of quarter it runs through."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

from segfast_edge.data.scene.camera import Point
from segfast_edge.data.scene.chance import pick


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a thing stands, and which way it faces: sine and cosine of the turn to the right of straight ahead."""

    foot: Point
    sine: float
    cosine: float

    @classmethod
    def turned(cls, foot: Point, heading: float) -> "Pose":
        """Return the pose facing ``heading``, in radians to the right."""
        return cls(foot, math.sin(heading), math.cos(heading))

    def at(self, forward: float, right: float, up: float) -> Point:
        """Return the world point of a place on the thing, in metres."""
        x, y, z = self.foot
        s, c = self.sine, self.cosine
        return x + forward * s + right * c, y + up, z + forward * c - right * s

    def normal(self, forward: float, right: float, up: float) -> Point:
        """Turn a direction of the thing into the world's."""
        s, c = self.sine, self.cosine
        return forward * s + right * c, up, forward * c - right * s


Quarter = Literal["terrace", "city", "suburb", "park"]
QUARTERS: tuple[Quarter, ...] = get_args(Quarter)


@dataclass(frozen=True, slots=True)
class Street:
    """Measures in metres; ``across`` is counted to the right from the road's middle, ``along`` forward."""

    quarter: Quarter
    half: float  # from the middle to the kerb
    lanes: int
    pavement: float
    setback: float  # from the pavement to the buildings
    bend: float  # 1/m
    right_hand: bool  # on which side one drives
    grass: bool  # between pavement and buildings
    crossing: float | None  # where a zebra crossing begins
    verge: float  # strip of grass between kerb and pavement; 0 where there is none

    def at(self, across: float, along: float, height: float = 0.0) -> Point:
        """Return the world point."""
        return across + self.bend * along * along / 2, height, along

    def heading(self, along: float) -> float:
        """Return the street's direction there, in radians to the right."""
        return math.atan(self.bend * along)

    def pose(self, across: float, along: float, turn: float = 0.0) -> Pose:
        """Return a pose on the ground, turned by ``turn`` against the street's run there."""
        return Pose.turned(self.at(across, along), self.heading(along) + turn)

    @property
    def lane(self) -> float:
        """Width of a lane."""
        return 2 * self.half / self.lanes

    @property
    def building_line(self) -> float:
        """From the middle to the fronts."""
        return self.half + self.verge + self.pavement + self.setback

    @property
    def own_lane(self) -> float:
        """Where, across, the camera drives."""
        side = 1 if self.right_hand else -1
        return side * (self.half - self.lane / 2) if self.lanes > 1 else 0.0


def draw_street(rng: np.random.Generator) -> Street:
    """Draw a street."""
    quarter = pick(rng, QUARTERS, (0.32, 0.36, 0.2, 0.12))
    lanes = {"terrace": (1, 2, 2), "city": (2, 2, 3, 4), "suburb": (2, 2), "park": (2, 2, 4)}[quarter]
    count = pick(rng, lanes)
    half = count * rng.uniform(2.7, 3.5) / 2 + (1.4 if count == 1 else 0.4 * rng.uniform())
    setback = {"terrace": (0.0, 2.5), "city": (0.0, 0.8), "suburb": (3.0, 9.0), "park": (6.0, 22.0)}[quarter]
    bend = rng.normal(0, 0.0022) if rng.uniform() < 0.6 else 0.0
    return Street(
        quarter=quarter,
        half=float(half),
        lanes=count,
        pavement=float(rng.uniform(1.5, 4.5 if quarter == "city" else 3.0)),
        setback=float(rng.uniform(*setback)),
        bend=float(np.clip(bend, -0.005, 0.005)),
        right_hand=bool(rng.uniform() < 0.6),
        grass=quarter in ("suburb", "park") or bool(rng.uniform() < 0.2),
        crossing=float(rng.uniform(7, 30)) if rng.uniform() < 0.3 else None,
        verge=float(rng.uniform(0.8, 2.0)) if quarter in ("suburb", "park") and rng.uniform() < 0.4 else 0.0,
    )
