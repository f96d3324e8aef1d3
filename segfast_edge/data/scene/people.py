"""Pedestrians and cyclists: jointed figures in three dimensions, so that they can face any way."""

import itertools
import math
from dataclasses import dataclass

import numpy as np

from segfast_edge.data.scene.camera import Point
from segfast_edge.data.scene.canvas import Canvas
from segfast_edge.data.scene.chance import pick
from segfast_edge.data.scene.classes import BICYCLIST, PEDESTRIAN
from segfast_edge.data.scene.light import Rgb, times
from segfast_edge.data.scene.shadows import Shadows
from segfast_edge.data.scene.street import Pose

SKIN: tuple[Rgb, ...] = ((226, 180, 152), (198, 148, 116), (150, 104, 76), (98, 66, 48))
HAIR: tuple[Rgb, ...] = ((36, 28, 24), (74, 50, 34), (136, 100, 60), (160, 156, 152))
TOPS: tuple[Rgb, ...] = (
    (36, 40, 52), (70, 72, 76), (160, 36, 40), (34, 64, 118), (206, 202, 194), (52, 84, 60), (120, 92, 66),
    (222, 178, 50), (96, 56, 92), (24, 24, 28), (206, 230, 60),
)  # fmt: skip
LEGS: tuple[Rgb, ...] = ((30, 34, 48), (56, 72, 104), (24, 24, 26), (108, 98, 84), (72, 72, 74))


@dataclass(frozen=True, slots=True)
class Clothes:
    """Colours of one person, and whether the coat is long and a bag is carried."""

    skin: Rgb
    hair: Rgb
    top: Rgb
    legs: Rgb
    coat: bool
    bag: bool


def _draw_clothes(rng: np.random.Generator) -> Clothes:
    skin, hair, top, legs = (pick(rng, part) for part in (SKIN, HAIR, TOPS, LEGS))
    tint = float(rng.uniform(0.8, 1.15))
    return Clothes(skin, hair, times(top, tint), legs, bool(rng.uniform() < 0.35), bool(rng.uniform() < 0.35))


class _Figure:
    """Draws limbs in one class, lit from the sun's side."""

    def __init__(self, canvas: Canvas, pose: Pose, label: int, lit: float) -> None:
        self.canvas, self.pose, self.label, self.lit = canvas, pose, label, lit
        self.fine = canvas.camera.focal / max(canvas.camera.seen(pose.foot)[2], 1.0) > 25  # pixels per metre

    def ink(self, colour: Rgb, normal: Point = (0.0, 0.3, -0.6)) -> Rgb:
        """Return a colour as it is lit."""
        return self.canvas.light.on(colour, normal, self.lit)

    def limb(self, joints: list[Point], widths: tuple[float, float], colour: Rgb) -> None:
        """Draw a chain of rods through joints given as forward, right, up."""
        places = [self.pose.at(*joint) for joint in joints]
        shade = self.ink(colour)
        for number, (start, end) in enumerate(itertools.pairwise(places)):
            step = (widths[1] - widths[0]) / (len(places) - 1)
            pair = (widths[0] + step * number, widths[0] + step * (number + 1))
            self.canvas.limb((start, end), pair, shade, self.label)
            if self.fine:
                self.canvas.joint(end, pair[1], shade, self.label)

    def trunk(self, low: Point, high: Point, widths: tuple[float, float], colour: Rgb) -> None:
        """Draw the body, its sunny side lighter."""
        self.limb([low, high], widths, colour)
        ends = (self.pose.at(*low), self.pose.at(*high))
        right = self.canvas.camera.axes[0]
        shift = 0.2 * (1 if self.canvas.sun_right else -1)
        lighter = self.ink(times(colour, 1.2))
        moved = [
            (p[0] + right[0] * w * shift, p[1] + right[1] * w * shift, p[2] + right[2] * w * shift)
            for p, w in zip(ends, widths, strict=True)
        ]
        self.canvas.limb((moved[0], moved[1]), (widths[0] * 0.4, widths[1] * 0.4), lighter)

    def head(self, at: Point, size: float, clothes: Clothes) -> None:
        """Draw head and hair; from behind one sees hair only."""
        x, y, z = self.pose.at(*at)
        self.canvas.disc((x, y, z), size, self.ink(clothes.hair), self.label)
        forward = self.pose.normal(1, 0, 0)
        axis = self.canvas.camera.axes[2]
        if sum(a * b for a, b in zip(forward, axis, strict=True)) < 0.3:
            face = (x + forward[0] * size * 0.35, y - size * 0.22, z + forward[2] * size * 0.35)
            self.canvas.disc(face, size * 0.82, self.ink(clothes.skin))


@dataclass(frozen=True, slots=True)
class Pedestrian:
    """Somebody walking or standing; ``stride`` is the angle of the legs in radians, ``phase`` which one leads."""

    pose: Pose
    along: float
    high: float
    stride: float
    clothes: Clothes

    @property
    def foot(self) -> Point:
        """Where it stands."""
        return self.pose.foot

    def shade(self, shadows: Shadows) -> None:
        """Cast a shadow."""
        base = [self.pose.at(f, r, 0) for f, r in ((-0.15, -0.22), (0.15, -0.22), (0.15, 0.22), (-0.15, 0.22))]
        shadows.cast(base, self.high)
        shadows.touch(
            [self.pose.at(f * 2, r * 1.3, 0) for f, r in ((-0.15, -0.22), (0.15, -0.22), (0.15, 0.22), (-0.15, 0.22))],
            0.7,
        )

    def paint_on(self, canvas: Canvas, lit: float) -> None:
        """Paint the person."""
        if not canvas.shows(self.pose.foot, 0.6):
            return
        figure = _Figure(canvas, self.pose, PEDESTRIAN, lit)
        far, near = (-1.0, 1.0) if canvas.camera.axes[0][0] * self.pose.cosine > 0 else (1.0, -1.0)
        self._leg(figure, far, 0.9)
        self._arm(figure, far, 0.85)
        self._leg(figure, near, 1.0)
        facing = self.pose.normal(1, 0, 0)[2] < 0  # towards the camera, so a bag is behind the body
        if self.clothes.bag and facing:
            self._bag(figure)
        self._trunk(figure)
        hand = self._arm(figure, near, 0.92)
        canvas.disc(self.pose.at(*hand), 0.028 * self.high, figure.ink(self.clothes.skin), PEDESTRIAN)
        if self.clothes.bag and not facing:
            self._bag(figure)
        h = self.high
        figure.limb([(0, 0, 0.82 * h), (0, 0, 0.88 * h)], (0.06 * h, 0.06 * h), self.clothes.skin)
        figure.head((0.01, 0, 0.93 * h), 0.068 * h, self.clothes)

    def _leg(self, figure: _Figure, side: float, shade: float) -> None:
        h, step, across = self.high, math.sin(self.stride) * side, side * 0.05 * self.high
        heel: Point = (step * 0.24 * h, across, 0.04 * h)
        leg = [(0.0, across, 0.5 * h), (step * 0.13 * h + 0.03, across, 0.28 * h), heel]
        figure.limb(leg, (0.105 * h, 0.06 * h), times(self.clothes.legs, shade))
        figure.limb([heel, (heel[0] + 0.11, across, 0.03)], (0.055 * h, 0.045 * h), (28, 26, 26))

    def _arm(self, figure: _Figure, side: float, shade: float) -> Point:
        """Draw an arm and return where its hand is."""
        h, step = self.high, math.sin(self.stride) * side
        hand: Point = (-step * 0.16 * h + 0.05, side * 0.15 * h, 0.48 * h)
        arm = [(0.0, side * 0.125 * h, 0.8 * h), (-step * 0.1 * h, side * 0.16 * h, 0.62 * h), hand]
        figure.limb(arm, (0.062 * h, 0.045 * h), times(self.clothes.top, shade))
        return hand

    def _trunk(self, figure: _Figure) -> None:
        h, top = self.high, self.clothes.top
        hem = 0.36 if self.clothes.coat else 0.49
        figure.trunk((0, 0, hem * h), (0, 0, 0.78 * h), (0.19 * h, 0.215 * h), top)
        figure.limb([(0, -0.09 * h, 0.8 * h), (0, 0.09 * h, 0.8 * h)], (0.09 * h, 0.09 * h), top)

    def _bag(self, figure: _Figure) -> None:
        h = self.high
        straps = [(-0.09 * h, 0.0, 0.58 * h), (-0.09 * h, 0.0, 0.74 * h)]
        figure.limb([*straps], (0.13 * h, 0.15 * h), times(self.clothes.legs, 0.8))


@dataclass(frozen=True, slots=True)
class Cyclist:
    """Somebody on a bicycle; ``pedal`` is the crank's angle."""

    pose: Pose
    along: float
    pedal: float
    clothes: Clothes
    helmet: bool

    @property
    def foot(self) -> Point:
        """Where it stands."""
        return self.pose.foot

    def shade(self, shadows: Shadows) -> None:
        """Cast a shadow."""
        base = [self.pose.at(f, r, 0) for f, r in ((-0.8, -0.12), (0.8, -0.12), (0.8, 0.12), (-0.8, 0.12))]
        shadows.cast(base, 1.5)
        shadows.touch(base, 0.7)

    def paint_on(self, canvas: Canvas, lit: float) -> None:
        """Paint bicycle and rider."""
        if not canvas.shows(self.pose.foot, 1.2):
            return
        figure, clothes = _Figure(canvas, self.pose, BICYCLIST, lit), self.clothes
        _bicycle(figure, times(clothes.top, 0.8))
        for side, turn in ((-1.0, self.pedal), (1.0, self.pedal + math.pi)):
            foot: Point = (_CRANK[0] + 0.17 * math.cos(turn), side * 0.1, _CRANK[2] + 0.17 * math.sin(turn))
            knee: Point = ((_HIP[0] + foot[0]) / 2 + 0.26, side * 0.11, (_HIP[2] + foot[2]) / 2 + 0.1)
            figure.limb([(_HIP[0], side * 0.08, _HIP[2]), knee, foot], (0.17, 0.1), clothes.legs)
            figure.limb([foot, (foot[0] + 0.16, foot[1], foot[2])], (0.08, 0.07), (26, 26, 28))
            elbow, grip = (0.32, side * 0.24, 1.18), (0.45, side * 0.22, 1.02)
            figure.limb([(_SHOULDER[0], side * 0.17, _SHOULDER[2]), elbow, grip], (0.1, 0.075), clothes.top)
        figure.trunk(_HIP, _SHOULDER, (0.3, 0.36), clothes.top)
        if clothes.bag:
            figure.limb([(-0.2, 0, 1.12), (0.0, 0, 1.4)], (0.26, 0.24), times(clothes.legs, 1.2))
        figure.limb([_SHOULDER, (0.22, 0, 1.58)], (0.11, 0.1), clothes.skin)
        figure.head((0.25, 0, 1.65), 0.115, clothes)
        if self.helmet:
            canvas.disc(self.pose.at(0.23, 0, 1.72), 0.11, figure.ink((226, 226, 222)), BICYCLIST)


# a bicycle and its rider's joints: forward, right, up from between the wheels, in metres
_REAR: Point = (-0.52, 0.0, 0.34)
_FRONT: Point = (0.52, 0.0, 0.34)
_CRANK: Point = (-0.05, 0.0, 0.3)
_NECK: Point = (0.38, 0.0, 0.82)
_HIP: Point = (-0.22, 0.0, 1.0)
_SHOULDER: Point = (0.14, 0.0, 1.44)


def _bicycle(figure: _Figure, colour: Rgb) -> None:
    for hub in (_REAR, _FRONT):
        _wheel(figure, hub[0])
    rods: tuple[list[Point], ...] = (
        [_REAR, _CRANK, _NECK],
        [(-0.25, 0.0, 0.92), _CRANK],
        [_REAR, (-0.2, 0.0, 0.75), _NECK],
        [(0.45, 0.0, 1.0), _FRONT],
    )
    for rod in rods:
        figure.limb(rod, (0.045, 0.045), colour)
    figure.limb([(0.45, -0.26, 1.0), (0.45, 0.26, 1.0)], (0.04, 0.04), (30, 30, 32))


def _wheel(figure: _Figure, middle: float) -> None:
    ring = [
        (middle + 0.34 * math.cos(k * math.pi / 8), 0.0, 0.34 + 0.34 * math.sin(k * math.pi / 8)) for k in range(17)
    ]
    figure.limb(ring, (0.05, 0.05), (26, 26, 28))
    for k in range(0, 8, 2) if figure.fine else ():
        figure.limb([ring[k], ring[k + 8]], (0.012, 0.012), (120, 120, 124))


def draw_pedestrian(rng: np.random.Generator, pose: Pose, along: float) -> Pedestrian:
    """Draw somebody on foot there."""
    high = float(rng.normal(1.71, 0.09)) if rng.uniform() < 0.9 else float(rng.uniform(1.05, 1.4))
    stride = float(rng.uniform(-1.4, 1.4)) if rng.uniform() < 0.75 else 0.1
    return Pedestrian(pose, along, high, stride, _draw_clothes(rng))


def draw_cyclist(rng: np.random.Generator, pose: Pose, along: float) -> Cyclist:
    """Draw somebody on a bicycle there."""
    return Cyclist(pose, along, float(rng.uniform(0, 2 * math.pi)), _draw_clothes(rng), bool(rng.uniform() < 0.5))
