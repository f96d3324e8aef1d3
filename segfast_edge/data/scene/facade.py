"""The fronts of houses, painted flat before they are set up along the street."""

import functools
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageChops, ImageDraw

from segfast_edge.data.scene import noise
from segfast_edge.data.scene.chance import pick
from segfast_edge.data.scene.light import Light, Normal, Rgb, ink, mixed, times

WALLS: dict[str, tuple[Rgb, ...]] = {
    "brick": ((150, 82, 62), (128, 74, 60), (168, 104, 76), (186, 158, 112), (112, 72, 62)),
    "stucco": ((226, 220, 204), (210, 196, 166), (198, 206, 206), (228, 206, 184), (186, 170, 156), (160, 176, 178)),
    "stone": ((176, 168, 148), (156, 150, 138), (190, 182, 166)),
    "concrete": ((164, 162, 158), (138, 138, 138), (184, 180, 172)),
    "glass": ((96, 116, 128), (78, 98, 112), (120, 138, 142)),
}
SIGNS: tuple[Rgb, ...] = (
    (176, 34, 38),
    (24, 66, 122),
    (28, 92, 60),
    (40, 40, 44),
    (222, 168, 36),
    (112, 40, 84),
    (236, 232, 222),
)
Ground = Literal["shop", "door", "plain"]


@dataclass(frozen=True, slots=True)
class Front:
    """A house front; measures in metres."""

    wide: float
    high: float
    material: str
    wall: Rgb
    floor: float  # height of a storey
    bay: float  # from window to window
    window: tuple[float, float]  # width and height
    trim: Rgb
    ground: Ground
    seed: int

    @property
    def columns(self) -> int:
        """How many windows stand side by side."""
        return max(1, int(self.wide / self.bay))


def draw_front(rng: np.random.Generator, wide: float, high: float, quarter: str) -> Front:
    """Draw a front of that size for that quarter."""
    chances = {
        "terrace": (0.55, 0.3, 0.15, 0.0, 0.0),
        "city": (0.22, 0.22, 0.24, 0.18, 0.14),
        "suburb": (0.5, 0.4, 0.1, 0.0, 0.0),
        "park": (0.3, 0.3, 0.2, 0.2, 0.0),
    }[quarter]
    material = pick(rng, tuple(WALLS), chances)
    wall = pick(rng, WALLS[material])
    tint = rng.uniform(0.86, 1.1)
    bay = float(rng.uniform(1.9, 3.4)) if material != "glass" else float(rng.uniform(1.2, 1.8))
    shop = {"terrace": 0.3, "city": 0.6, "suburb": 0.0, "park": 0.05}[quarter]
    tall = material == "glass"
    return Front(
        wide=wide,
        high=high,
        material=material,
        wall=(wall[0] * tint, wall[1] * tint, wall[2] * tint),
        floor=float(rng.uniform(2.7, 3.5)),
        bay=bay,
        window=(
            bay * float(rng.uniform(0.82, 0.9) if tall else rng.uniform(0.35, 0.62)),
            float(rng.uniform(1.3, 1.95)),
        ),
        trim=(236, 234, 226) if rng.uniform() < 0.7 else (58, 56, 54),
        ground="shop" if rng.uniform() < shop else "door" if rng.uniform() < 0.8 else "plain",
        seed=int(rng.integers(1 << 30)),
    )


class _Brush:
    """Fills boxes given in metres from a front's lower left corner."""

    def __init__(self, picture: Image.Image, scale: tuple[float, float], light: Light, normal: Normal) -> None:
        self._draw, self.scale, self._bottom = ImageDraw.Draw(picture), scale, picture.height
        self.light, self._normal = light, normal
        self._lit: dict[Rgb, Rgb] = {}

    def box(self, left: float, low: float, right: float, high: float, colour: Rgb) -> None:
        """Fill a box of paint, which the light falls on."""
        if colour not in self._lit:
            self._lit[colour] = self.light.on(colour, self._normal)
        self.shining((left, low, right, high), self._lit[colour])

    def shining(self, box: tuple[float, float, float, float], colour: Rgb) -> None:
        """Fill a box, left, low, right, high, with the colour as it is seen."""
        sx, sy = self.scale
        x0, x1 = round(box[0] * sx), round(box[2] * sx) - 1
        y0, y1 = self._bottom - round(box[3] * sy), self._bottom - round(box[1] * sy) - 1
        if x1 >= x0 and y1 >= y0:
            self._draw.rectangle((x0, y0, x1, y1), fill=ink(colour))


def paint(front: Front, light: Light, normal: Normal, scale: tuple[float, float]) -> Image.Image:
    """Paint a front, lit, at ``scale`` pixels per metre across and up."""
    rng = np.random.default_rng(front.seed)
    size = (max(2, round(front.wide * scale[0])), max(2, round(front.high * scale[1])))
    picture = _plastered(size, light.on(front.wall, normal), rng)
    brush = _Brush(picture, scale, light, normal)
    storeys = max(1, int((front.high - 0.4) / front.floor))
    panes = _Panes(light, front, rng)
    for storey in range(0 if front.ground != "shop" else 1, storeys):
        _windows(brush, front, panes, storey)
    if front.ground == "shop":
        _shop(brush, front, rng, panes)
    elif front.ground == "door":
        _door(brush, front, rng, panes)
    wide, high = front.wide, front.high
    if front.material != "glass":
        brush.box(0, high - 0.36, wide, high, times(front.wall, 1.14))
        brush.box(0, high - 0.46, wide, high - 0.36, times(front.wall, 0.55))
        brush.box(0, 0, wide, 0.45, times(front.wall, 0.78))
    brush.box(0, 0, 0.1, high, times(front.wall, 0.7))
    brush.box(wide - 0.1, 0, wide, high, times(front.wall, 0.85))
    return picture


@functools.cache
def _plaster() -> Image.Image:
    """Return a tile of stains and grain to multiply walls with; 0.88 of white on average."""
    stains = np.tile(noise.cloud(1) * 0.035 + noise.grain() * 0.03, (4, 4))
    return Image.fromarray(((0.88 + stains) * 255).clip(0, 255).astype(np.uint8)).convert("RGB")


def _plastered(size: tuple[int, int], colour: Rgb, rng: np.random.Generator) -> Image.Image:
    """Return a wall with stains and grain."""
    left, top = (int(at) for at in rng.integers(noise.TILE, size=2))
    tile = _plaster().crop((left, top, left + size[0], top + size[1]))
    return ImageChops.multiply(tile, Image.new("RGB", size, ink(times(colour, 1 / 0.88))))


class _Panes:
    """Draws what window panes show: a lit room, a curtain, or the sky's reflection, more of it higher up."""

    def __init__(self, light: Light, front: Front, rng: np.random.Generator) -> None:
        self._lit, self._rng = light.lamps * 0.45, rng
        self._gloss = 1.25 if front.material == "glass" else 0.9
        self._dark, self._curtain = (light.on(colour, (0.0, 0.0, 0.0)) for colour in ((46, 52, 60), (190, 184, 172)))
        self._skies = (light.horizon, light.zenith)

    def row(self, count: int, high: float) -> list[Rgb]:
        """Return the colours of ``count`` panes at that height in metres."""
        return [self._one(chances, high) for chances in self._rng.random((count, 4)).tolist()]

    def _one(self, chances: list[float], high: float) -> Rgb:
        room, cloth, which, shade = chances
        if room < self._lit:
            return mixed((255, 214, 138), (255, 240, 205), shade)
        if cloth < 0.25:
            return self._curtain if which < 0.5 else times(self._dark, 0.7)
        shine = (0.05 + 0.37 * shade) * self._gloss + high * 0.006
        return mixed(self._dark, self._skies[which < 0.5], min(0.75, shine))


def _windows(brush: _Brush, front: Front, panes: _Panes, storey: int) -> None:
    columns = front.columns
    pitch = front.wide / columns
    wide, high = front.window[0], min(front.window[1], front.floor - 0.9)
    low = storey * front.floor + (0.35 if front.material == "glass" else 0.95)
    if front.material == "glass":
        high = front.floor - 0.6
    trimmed = front.material != "glass" and min(brush.scale) > 6
    for column, pane in enumerate(panes.row(columns, low)):
        left = column * pitch + (pitch - wide) / 2
        if trimmed:
            brush.box(left - 0.1, low - 0.16, left + wide + 0.1, low, times(front.trim, 0.9))
            brush.box(left - 0.09, low, left + wide + 0.09, low + high + 0.09, front.trim)
        brush.shining((left, low, left + wide, low + high), pane)
        if trimmed:
            brush.shining((left, low + high * 0.82, left + wide, low + high), times(pane, 0.72))
            middle = left + wide / 2
            brush.box(middle - 0.04, low, middle + 0.04, low + high, front.trim)
            brush.box(left, low + high * 0.5, left + wide, low + high * 0.5 + 0.06, front.trim)


def _door(brush: _Brush, front: Front, rng: np.random.Generator, panes: _Panes) -> None:
    columns = front.columns
    pitch = front.wide / columns
    left = int(rng.integers(columns)) * pitch + (pitch - 1.0) / 2
    brush.box(left - 0.15, 0, left + 1.15, 2.5, front.trim)
    colour = pick(rng, SIGNS)
    brush.box(left, 0.1, left + 1.0, 2.05, times(colour, 0.8))
    brush.shining((left, 2.1, left + 1.0, 2.4), panes.row(1, 2)[0])
    brush.box(left - 0.25, 0, left + 1.25, 0.14, (150, 148, 142))


def _shop(brush: _Brush, front: Front, rng: np.random.Generator, panes: _Panes) -> None:
    """Paint shop windows under a sign over the whole ground floor, a stretch of 4 to 8 metres each."""
    left, top = 0.0, front.floor
    while left < front.wide - 1.5:
        right = min(front.wide, left + float(rng.uniform(4, 8)))
        frame, board = (pick(rng, SIGNS) for _ in range(2))
        brush.box(left, 0, right, top, times(frame, 0.75))
        width = (right - left - 0.4) / 3
        for part in range(3):
            at = left + 0.2 + part * width
            glass = panes.row(1, 1)[0] if rng.uniform() > 0.3 + 0.4 * brush.light.lamps else (236, 214, 170)
            lower = 0.1 if part == 1 else 0.5
            brush.shining((at + 0.06, lower, at + width - 0.06, top - 0.85), times(glass, 0.8))
            brush.shining((at + 0.06, top - 1.2, at + width - 0.06, top - 0.85), times(glass, 0.6))
        brush.box(left, top - 0.75, right, top - 0.1, board)
        lettering = (244, 242, 232) if sum(board) < 420 else (40, 40, 46)
        at = left + 0.6
        while at < right - 0.9:
            step = float(rng.uniform(0.2, 0.5))
            brush.box(at, top - 0.58, at + step * 0.75, top - 0.28, lettering)
            at += step
        brush.box(left, top - 0.1, right, top + 0.06, times(front.wall, 0.7))
        left = right + 0.15
