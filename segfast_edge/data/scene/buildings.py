"""Rows of houses along both sides, what closes their gardens off, and the town far behind."""

import functools
import math

import numpy as np

from segfast_edge.data.scene.camera import Point, Pose
from segfast_edge.data.scene.chance import Span, pick, places, within
from segfast_edge.data.scene.classes import BUILDING, FENCE
from segfast_edge.data.scene.greenery import draw_tree
from segfast_edge.data.scene.light import Rgb, mixed, times
from segfast_edge.data.scene.street import Quarter, Street
from segfast_edge.data.scene.thing import Brush, Thing, rectangle

WALLS: dict[str, tuple[Rgb, ...]] = {
    "brick": ((150, 82, 62), (128, 74, 60), (168, 104, 76), (186, 158, 112), (112, 72, 62)),
    "stucco": ((226, 220, 204), (210, 196, 166), (198, 206, 206), (228, 206, 184), (186, 170, 156), (160, 176, 178)),
    "stone": ((176, 168, 148), (156, 150, 138), (190, 182, 166)),
    "concrete": ((164, 162, 158), (138, 138, 138), (184, 180, 172)),
    "glass": ((96, 116, 128), (78, 98, 112), (120, 138, 142)),
}
SIGNS: tuple[Rgb, ...] = (
    (176, 34, 38), (24, 66, 122), (28, 92, 60), (40, 40, 44), (222, 168, 36), (112, 40, 84), (236, 232, 222),
)  # fmt: skip
_ROOFS: tuple[Rgb, ...] = ((92, 84, 84), (122, 72, 56), (74, 78, 86), (140, 92, 68))
_FENCES: dict[str, tuple[Rgb, ...]] = {
    "wall": ((150, 84, 64), (176, 166, 150), (206, 200, 188)),
    "boards": ((128, 96, 66), (92, 80, 70), (180, 178, 172)),
    "rail": ((70, 74, 76), (44, 52, 50)),
    "hedge": (),
}


def _house(size: Point, quarter: Quarter, seed: int, brush: Brush) -> None:
    """Paint walls, roof and front of a house whose foot is the middle of its front; ``size``: width, height, depth."""
    rng, (wide, high, deep) = np.random.default_rng(seed), size
    material = pick(rng, tuple(WALLS), quarter.materials)
    glass, wall = material == "glass", times(pick(rng, WALLS[material]), within(rng, (0.86, 1.1)))
    middle, ridge = deep / 2, high + within(rng, (2, 3.6))
    pitched = high < 12 and material not in ("glass", "concrete") and rng.random() < 0.85
    outline = [(0.0, 0.0), (deep, 0.0), (deep, high), *([(middle, ridge)] if pitched else []), (0.0, high)]
    faces = brush.solid([(z, y, wide / 2) for z, y in outline], wall)
    if pitched:
        tiles, chimney = pick(rng, _ROOFS), rectangle(0.4, ridge - 0.5, ridge + 1.1)
        for slope in faces[2:4]:
            brush.face(slope, tiles)
        at = within(rng, (0.6 - wide / 2, wide / 2 - 0.6))
        brush.solid([(middle + z, y, 0.5) for z, y in chimney], times(wall, 0.9), at)
    _Front(brush, rng, (wide, high), wall, glass).paint(quarter.shops)


class _Front:
    """Paints a house's front in panels, its own coordinates counted from the lower left corner."""

    def __init__(self, brush: Brush, rng: np.random.Generator, size: Span, wall: Rgb, glass: bool) -> None:
        self.brush, self.rng, self.size, self.wall, self.glass = brush, rng, size, wall, glass
        self.floor, self.trim = within(rng, (2.7, 3.5)), pick(rng, ((236, 234, 226), (236, 234, 226), (58, 56, 54)))
        across, _, away = brush.camera.position
        self.scale = brush.scale * abs(away) / math.hypot(across, away)  # pixels per metre along the front
        self.dark, self.curtain = (brush.light.on(colour, (0, 0, 0)) for colour in ((46, 52, 60), (190, 184, 172)))

    def paint(self, shops: float) -> None:
        """Paint all of it; ``shops`` is the chance of shops on the ground floor."""
        (wide, high), rng, wall, shop = self.size, self.rng, self.wall, self.rng.random() < shops
        columns = max(1, int(wide / within(rng, (1.2, 1.8) if self.glass else (1.9, 3.4))))
        share, pitch = within(rng, (0.82, 0.9) if self.glass else (0.35, 0.62)), wide / columns
        low, tall = (0.35, self.floor - 0.6) if self.glass else (0.95, min(within(rng, (1.3, 1.95)), self.floor - 0.9))
        lefts = [(column + (1 - share) / 2) * pitch for column in range(columns)]
        for storey in range(int(shop), max(1, int((high - 0.4) / self.floor))):
            up = storey * self.floor + low
            if pitch * self.scale < 3:  # too far away to tell windows apart
                self._box(0, up, wide, up + tall, mixed(wall, (90, 98, 108), share))
                continue
            for left in lefts:
                self._window(left, up, (share * pitch, tall))
        self._box(0, 0, 0.1, high, times(wall, 0.7))
        self._box(wide - 0.1, 0, wide, high, times(wall, 0.85))
        ledges = ((high - 0.36, high, 1.14), (high - 0.46, high - 0.36, 0.55), (0, 0.45, 0.78))
        for bottom, top, shade in () if self.glass else ledges:
            self._box(0, bottom, wide, top, times(wall, shade))
        left = 0.0
        while shop and left < wide - 1.5:
            left = self._shop(left) + 0.15
        if not shop and rng.random() < 0.8:
            self._door(pick(rng, lefts) + share * pitch / 2 - 0.5)

    def _box(self, left: float, low: float, right: float, high: float, colour: Rgb, *, shining: bool = False) -> None:
        half = self.size[0] / 2
        self.brush.panel((left - half, low, right - half, high), colour, shining=shining)

    def _pane(self, high: float) -> Rgb:
        """Return what a pane shows: a lit room, a curtain, or the sky's reflection, more of it higher up."""
        light, (room, cloth, which, shade) = self.brush.light, self.rng.random(4).tolist()
        if room < light.lamps * 0.45:
            return mixed((255, 214, 138), (255, 240, 205), shade)
        if cloth < 0.25:
            return self.curtain if which < 0.5 else times(self.dark, 0.7)
        shine = (0.05 + 0.37 * shade) * (1.25 if self.glass else 0.9) + high * 0.006
        return mixed(self.dark, light.zenith if which < 0.5 else light.horizon, min(0.75, shine))

    def _window(self, left: float, low: float, size: Span) -> None:
        right, high, pane, fine = left + size[0], low + size[1], self._pane(low), self.scale > 6 and not self.glass
        if fine:
            self._box(left - 0.1, low - 0.16, right + 0.1, low, times(self.trim, 0.9))
            self._box(left - 0.09, low, right + 0.09, high + 0.09, self.trim)
        self._box(left, low, right, high, pane, shining=True)
        if fine:
            middle, bar = (left + right) / 2, (low + high) / 2
            self._box(left, low + size[1] * 0.82, right, high, times(pane, 0.72), shining=True)
            self._box(middle - 0.04, low, middle + 0.04, high, self.trim)
            self._box(left, bar, right, bar + 0.06, self.trim)

    def _door(self, left: float) -> None:
        self._box(left - 0.15, 0, left + 1.15, 2.5, self.trim)
        self._box(left, 0.1, left + 1.0, 2.05, times(pick(self.rng, SIGNS), 0.8))
        self._box(left, 2.1, left + 1.0, 2.4, self._pane(2), shining=True)
        self._box(left - 0.25, 0, left + 1.25, 0.14, (150, 148, 142))

    def _shop(self, left: float) -> float:
        """Paint shop windows under a sign, 4 to 8 metres wide; return where they end."""
        rng, top, right = self.rng, self.floor, min(self.size[0], left + within(self.rng, (4, 8)))
        board, width = pick(rng, SIGNS), (right - left - 0.4) / 3
        self._box(left, 0, right, top, times(pick(rng, SIGNS), 0.75))
        for part in range(3):
            low, at = (0.1 if part == 1 else 0.5), left + 0.2 + part * width
            glass = (236, 214, 170) if rng.random() < 0.3 + 0.4 * self.brush.light.lamps else self._pane(1)
            self._box(at + 0.06, low, at + width - 0.06, top - 0.85, times(glass, 0.8), shining=True)
            self._box(at + 0.06, top - 1.2, at + width - 0.06, top - 0.85, times(glass, 0.6), shining=True)
        self._box(left, top - 0.75, right, top - 0.1, board)
        for at in places(rng, (left + 0.6, left + 0.7), (0.2, 0.5), right - 0.9) if self.scale > 6 else ():
            letter = (244, 242, 232) if sum(board) < 420 else (40, 40, 46)
            self._box(at, top - 0.58, at + within(rng, (0.12, 0.3)), top - 0.28, letter)
        self._box(left, top - 0.1, right, top + 0.06, times(self.wall, 0.7))
        return right


def draw_houses(street: Street, rng: np.random.Generator) -> list[Thing]:
    """Draw both rows."""
    houses, quarter = [], street.quarter
    for side in (-1, 1):
        along, high = within(rng, (-12, -4)), within(rng, quarter.storeys)
        while along < 130:
            wide = within(rng, quarter.house)
            high = within(rng, quarter.storeys) if rng.random() < 0.8 else high
            if rng.random() < quarter.built:
                pose, deep = street.front(side * street.fronts, (along, along + wide)), within(rng, (7, 12))
                paint = functools.partial(_house, (wide, high, deep), quarter, int(rng.integers(1 << 30)))
                houses.append(Thing(pose, rectangle(wide / 2, 0.0, deep), high, BUILDING, paint))
            along += wide + (within(rng, quarter.gap) if rng.random() < quarter.gaps else 0.0)
    return houses


def _fence(kind: str, size: Span, colour: Rgb, brush: Brush) -> None:
    """Paint a fence whose foot is its middle."""
    long, high = size
    brush.panel((-long / 2, 0, long / 2, high), colour)
    pitch, dark = {"boards": (0.14, 0.85), "rail": (0.12, 0.45)}.get(kind, (long, 1.0))
    for slat in range(int(long / pitch) if brush.scale * pitch > 4 else 0):
        left = slat * pitch - long / 2
        brush.panel((left, 0, left + 0.45 * pitch, high), times(colour, dark))
    brush.panel((-long / 2, high - 0.09, long / 2, high), times(colour, 1.2))


def draw_boundaries(street: Street, rng: np.random.Generator) -> list[Thing]:
    """Draw fences, walls and rows of bushes along the gardens, if the street has gardens."""
    found: list[Thing] = []
    for side in (-1, 1) if street.fronts - street.plots > 1.2 and rng.random() < 0.8 else ():
        for start in places(rng, (-8, 0), (9, 18), 70):
            long, kind = within(rng, (5, 14)), pick(rng, tuple(_FENCES), (0.34, 0.22, 0.16, 0.28))
            across = side * (street.plots + 0.15)
            if kind == "hedge":
                bushes = places(rng, (start, start), (0.8, 1.4), start + long)
                found += [draw_tree(rng, street.at(across, along), small=True) for along in bushes if along > 2]
            elif rng.random() < street.quarter.built:
                size, colour = (long, within(rng, (0.7, 1.8))), pick(rng, _FENCES[kind])
                base, paint = rectangle(long / 2, 0.0, 0.15), functools.partial(_fence, kind, size, colour)
                found.append(Thing(street.front(across, (start, start + long)), base, size[1], FENCE, paint))
    return found


def draw_backdrop(street: Street, rng: np.random.Generator) -> list[Thing]:
    """Draw what closes the view: a line of far houses and trees along the horizon."""
    found = []
    for at in places(rng, (-260, -250), (8, 22), 260):
        foot, wide = (at, 0.0, within(rng, (170, 230))), within(rng, (8, 26))
        if rng.random() < (0.7 if street.quarter.grass == 1 else 0.35):
            found.append(draw_tree(rng, foot))
        else:
            wall, size = times((1.0, 0.96, 0.9), within(rng, (110, 190))), (wide, within(rng, (6, 17)))
            paint = functools.partial(_fence, "wall", size, wall)
            found.append(Thing(Pose(foot), rectangle(wide / 2, 0.0, 0.1), size[1], BUILDING, paint))
    return found
