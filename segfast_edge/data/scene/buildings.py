"""Rows of houses along both sides, the ends of them one sees between gaps, and the town far behind."""

from dataclasses import dataclass

import numpy as np

from segfast_edge.data.scene.camera import NEAR, Point
from segfast_edge.data.scene.canvas import Canvas
from segfast_edge.data.scene.chance import pick
from segfast_edge.data.scene.classes import BUILDING, TREE
from segfast_edge.data.scene.facade import Front, draw_front, paint
from segfast_edge.data.scene.light import Normal, Rgb, mixed, times
from segfast_edge.data.scene.shadows import Shadows
from segfast_edge.data.scene.street import Street

LAST_M = 130.0
MAX_TEXTURE = 460  # pixels along one side
_ROOFS: tuple[Rgb, ...] = ((92, 84, 84), (122, 72, 56), (74, 78, 86), (140, 92, 68))


@dataclass(frozen=True, slots=True)
class House:
    """A house on one side (-1 left, 1 right), from ``start`` to ``end`` along the street, in metres."""

    side: int
    start: float
    end: float
    deep: float
    front: Front
    roof: Rgb | None  # None for a flat one
    rise: float


def draw_houses(street: Street, rng: np.random.Generator) -> list[House]:
    """Draw both rows."""
    houses = []
    for side in (-1, 1):
        along = float(rng.uniform(-12, -4))
        high = _height(street, rng)
        while along < LAST_M:
            wide = float(
                rng.uniform(*{"terrace": (5, 9), "city": (9, 24), "suburb": (8, 13), "park": (12, 26)}[street.quarter])
            )
            gap = {"terrace": 0.1, "city": 0.16, "suburb": 0.95, "park": 0.97}[street.quarter]
            if rng.uniform() < 0.55 or street.quarter != "terrace":
                high = _height(street, rng)
            if street.quarter != "park" or rng.uniform() < 0.45:
                houses.append(_house(street, rng, (side, along, along + wide), high))
            along += wide
            if rng.uniform() < gap:
                along += float(rng.uniform(2.5, 10) if street.quarter != "park" else rng.uniform(8, 40))
    return houses


def _height(street: Street, rng: np.random.Generator) -> float:
    low, high = {"terrace": (6.0, 11.5), "city": (9.0, 26.0), "suburb": (4.8, 7.5), "park": (7.0, 20.0)}[street.quarter]
    return float(rng.uniform(low, high))


def _house(street: Street, rng: np.random.Generator, place: tuple[int, float, float], high: float) -> House:
    side, start, end = place
    front = draw_front(rng, end - start, high, street.quarter)
    pitched = high < 12 and front.material not in ("glass", "concrete") and rng.uniform() < 0.85
    roof = pick(rng, _ROOFS) if pitched else None
    return House(side, start, end, float(rng.uniform(7, 12)), front, roof, float(rng.uniform(2.0, 3.6)))


def shade_houses(shadows: Shadows, street: Street, houses: list[House]) -> None:
    """Cast the houses' shadows."""
    for house in houses:
        line, back = (house.side * (street.building_line + deep) for deep in (0, house.deep))
        corners = ((line, house.start), (line, house.end), (back, house.end), (back, house.start))
        shadows.cast([street.at(across, along) for across, along in corners], house.front.high)


def paint_houses(canvas: Canvas, street: Street, houses: list[House]) -> None:
    """Paint all of them, the far ones first."""
    for house in sorted(houses, key=lambda h: -h.start):
        _paint_house(canvas, street, house)


def _paint_house(canvas: Canvas, street: Street, house: House) -> None:
    line = house.side * street.building_line
    back = line + house.side * house.deep
    high = house.front.high
    start = max(house.start, _first_visible(canvas, line, high))
    if start >= house.end - 0.05:
        return
    wall = times(house.front.wall, 0.92)
    if house.start > 1:
        _end_wall(canvas, street, house, wall)
    if house.roof is not None:
        middle = line + house.side * house.deep / 2
        slope: Normal = (-house.side * 0.55, 0.83, 0.0)
        ridge = high + house.rise
        eaves = line - house.side * 0.35
        roof = [
            street.at(eaves, start, high),
            street.at(eaves, house.end, high),
            street.at(middle, house.end, ridge),
            street.at(middle, start, ridge),
        ]
        canvas.face(roof, canvas.light.on(house.roof, slope), BUILDING)
        if house.start > 1:
            gable = [
                street.at(line, house.start, high),
                street.at(back, house.start, high),
                street.at(middle, house.start, ridge),
            ]
            canvas.face(gable, canvas.light.on(wall, (0.0, 0.0, -1.0)), BUILDING)
            _chimney(canvas, street, house, ridge)
    _front(canvas, street, house, (start, line))


def _first_visible(canvas: Canvas, across: float, high: float) -> float:
    """Return where, along the street, a wall comes in front of the near plane; near by, no bend matters."""
    (ox, oy, oz), forward = canvas.camera.position, canvas.camera.axes[2]
    lowest = min(forward[1] * (up - oy) for up in (0.0, high))
    return oz + (NEAR + 0.6 - forward[0] * (across - ox) - lowest) / forward[2]


def _end_wall(canvas: Canvas, street: Street, house: House, wall: Rgb) -> None:
    line, back = house.side * street.building_line, house.side * (street.building_line + house.deep)
    points = [
        street.at(across, house.start, up)
        for across, up in ((line, 0), (back, 0), (back, house.front.high), (line, house.front.high))
    ]
    normal: Normal = (0.0, 0.0, -1.0)
    canvas.face(points, canvas.light.on(wall, normal), BUILDING)
    for storey in range(int(house.front.high / house.front.floor)):
        low = storey * house.front.floor + 1.0
        at = line + house.side * house.deep * 0.45
        pane = [
            street.at(at + dx * house.side, house.start, low + dy) for dx, dy in ((0, 0), (1, 0), (1, 1.4), (0, 1.4))
        ]
        canvas.face(pane, mixed(canvas.light.on((50, 56, 64), normal), canvas.light.zenith, 0.15))


def _chimney(canvas: Canvas, street: Street, house: House, ridge: float) -> None:
    middle = house.side * (street.building_line + house.deep / 2)
    points = [
        street.at(middle + dx, house.start + 0.6, ridge + up)
        for dx, up in ((-0.5, -0.6), (0.5, -0.6), (0.5, 1.1), (-0.5, 1.1))
    ]
    canvas.face(points, canvas.light.on(times(house.front.wall, 0.85), (0.0, 0.0, -1.0)), BUILDING)


def _front(canvas: Canvas, street: Street, house: House, place: tuple[float, float]) -> None:
    start, line = place
    high = house.front.high
    near, far = street.at(line, start), street.at(line, house.end)
    seen = [canvas.camera.seen(point) for point in (near, far)]
    depths = [point[2] for point in seen]
    across = abs(canvas.camera.pixel(seen[0])[0] - canvas.camera.pixel(seen[1])[0])
    normal: Normal = (-float(house.side), 0.0, 0.0)
    if across < 5:
        outline = [near, far, (far[0], high, far[2]), (near[0], high, near[2])]
        canvas.face(outline, canvas.light.on(times(house.front.wall, 0.85), normal), BUILDING)
        return
    tall = min(canvas.camera.focal / min(depths) * 0.9, MAX_TEXTURE / high)
    broad = min(tall, 2.5 * across / (house.end - start), MAX_TEXTURE / house.front.wide)
    picture = paint(house.front, canvas.light, normal, (broad, tall))
    left_first = house.side > 0  # on the right one sees the far end of a front left of its near end
    hidden = round((start - house.start) / house.front.wide * picture.width)
    if hidden:
        box = (
            (0, 0, picture.width - hidden, picture.height) if left_first else (hidden, 0, picture.width, picture.height)
        )
        picture = picture.crop(box)
    top = tuple((x, high, z) for x, _, z in (near, far))
    corners: list[Point] = [top[0], top[1], far, near] if not left_first else [top[1], top[0], near, far]
    canvas.warp(picture, corners, sum(depths) / 2, BUILDING)


def paint_backdrop(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
    """Paint what closes the view: a line of far roofs and treetops along the horizon."""
    at = -260.0
    while at < 260:
        wide = float(rng.uniform(8, 26))
        green = rng.uniform() < (0.7 if street.quarter in ("suburb", "park") else 0.35)
        along = float(rng.uniform(170, 230))
        high = float(rng.uniform(5, 11) if green else rng.uniform(6, 17))
        normal: Normal = (0.0, 0.0, -1.0)
        if green:
            bumps = [(at + wide * k / 6, high * (0.75 + 0.25 * float(rng.uniform()))) for k in range(7)]
            points = [(at, 0.0, along), *((x, up, along) for x, up in bumps), (at + wide, 0.0, along)]
            canvas.face(points, canvas.light.on((72, 92, 56), normal), TREE)
        else:
            shade = float(rng.uniform(110, 190))
            points = [(at, 0.0, along), (at, high, along), (at + wide, high, along), (at + wide, 0.0, along)]
            canvas.face(points, canvas.light.on((shade, shade * 0.96, shade * 0.9), normal), BUILDING)
        at += wide * float(rng.uniform(0.7, 1.0))
