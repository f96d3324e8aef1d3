"""Trees, bushes and hedges; crowns are grown once and then reused in any size, colour and mirror image."""

import functools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from segfast_edge.data.scene import noise
from segfast_edge.data.scene.camera import NEAR, Point
from segfast_edge.data.scene.canvas import Canvas
from segfast_edge.data.scene.chance import pick
from segfast_edge.data.scene.classes import TREE
from segfast_edge.data.scene.light import Rgb, mixed, times
from segfast_edge.data.scene.shadows import Shadows

CROWN = 176  # pixels along a grown crown's side
VARIANTS = 12
Shape = Literal["round", "cone", "column", "bush"]
TREES: tuple[Shape, ...] = ("round", "cone", "column")
LEAVES: tuple[Rgb, ...] = (
    (92, 120, 52),
    (74, 104, 46),
    (112, 128, 58),
    (84, 112, 70),
    (128, 122, 52),
    (150, 108, 44),
    (62, 88, 50),
)


@dataclass(frozen=True, slots=True)
class Tree:
    """A tree or bush; measures in metres, ``clear`` is how much of the trunk shows under the crown."""

    foot: Point
    along: float
    shape: Shape
    high: float
    wide: float
    clear: float
    leaves: Rgb
    variant: int

    def shade(self, shadows: Shadows) -> None:
        """Cast its shadow: a disc of the crown's width, from the crown's foot to its top, and the trunk's."""
        x, _, z = self.foot
        ring = [(math.cos(k * math.pi / 4), math.sin(k * math.pi / 4)) for k in range(8)]
        disc = [(x + c * self.wide * 0.4, 0.0, z + s * self.wide * 0.4) for c, s in ring]
        shadows.cast(disc, self.high * 0.9, self.clear + 0.1 * self.high)
        small = [(x + c * 0.15, 0.0, z + s * 0.15) for c, s in ring[::2]]
        shadows.cast(small, self.high * 0.5)
        shadows.touch([(x + c * 0.4, 0.0, z + s * 0.4) for c, s in ring] if self.clear else disc, 0.8)

    def paint_on(self, canvas: Canvas, lit: float) -> None:
        """Paint it; ``lit`` is the share of the sun that reaches its foot."""
        x, y, z = self.foot
        if self.clear:
            bark = canvas.light.on((98, 80, 62), (0.0, 0.0, -1.0), lit)
            thick = 0.034 * self.high
            fork: Point = (x, y + self.clear + 0.2 * self.high, z)
            canvas.limb((self.foot, fork), (thick, thick * 0.6), bark, TREE)
            for lean in (-0.16, 0.14):
                tip: Point = (x + lean * self.wide, y + self.clear + 0.4 * self.high, z)
                canvas.limb((fork, tip), (thick * 0.5, thick * 0.25), bark, TREE)
        self._crown(canvas, max(lit, 0.35))

    def _crown(self, canvas: Canvas, lit: float) -> None:
        x, y, z = self.foot
        seen = canvas.camera.seen((x, y + (self.clear + self.high) / 2, z))
        if seen[2] < NEAR + 1.0:
            return
        scale = canvas.camera.focal / seen[2]
        middle, half, tall = canvas.camera.pixel(seen), self.wide * scale / 2, (self.high - self.clear) * scale / 2
        left, top = middle[0] - half, middle[1] - tall
        x0, x1 = max(0, round(left)), min(canvas.wide, round(left + 2 * half))
        y0, y1 = max(0, round(top)), min(canvas.high, round(top + 2 * tall))
        if x1 <= x0 or y1 <= y0:
            return
        shape, alpha = _crown(self.shape, self.variant)
        if canvas.sun_right:
            shape, alpha = ImageOps.mirror(shape), ImageOps.mirror(alpha)
        kx, ky = CROWN / (2 * half), CROWN / (2 * tall)
        corner = (max(0.0, (x0 - left) * kx), max(0.0, (y0 - top) * ky))
        box = (*corner, min(CROWN, (x1 - left) * kx), min(CROWN, (y1 - top) * ky))
        shape, alpha = (p.resize((x1 - x0, y1 - y0), Image.Resampling.BILINEAR, box) for p in (shape, alpha))
        canvas.sprite(_coloured(shape, canvas, self.leaves, (lit, seen[2])), alpha, (x0, y0), TREE)


def _coloured(shape: Image.Image, canvas: Canvas, leaves: Rgb, place: tuple[float, float]) -> Image.Image:
    """Turn a crown's brightness into the colours of shaded to sunlit leaves; ``place``: sun's share, distance."""
    lit, distance = place
    light = canvas.light
    dark = canvas.ink(light.on(times(leaves, 0.34), (0.0, 0.0, 0.0)), distance)
    bright = canvas.ink(mixed(light.on(times(leaves, 1.3), light.sun, lit), (255, 240, 150), 0.05), distance)
    bands = [shape.point([int(d + (b - d) * k / 255) for k in range(256)]) for d, b in zip(dark, bright, strict=True)]
    return Image.merge("RGB", bands)


@functools.cache
def _crown(shape: Shape, variant: int) -> tuple[Image.Image, Image.Image]:
    """Grow a crown, lit from the upper left: its brightness and its opacity, ``CROWN`` x ``CROWN`` grey pictures."""
    rng = np.random.default_rng((104729, variant, len(shape), ord(shape[0])))
    rows, columns = np.mgrid[0:CROWN, 0:CROWN].astype(np.float32) * 2 / CROWN - 1
    inside, bright = np.full(rows.shape, -1.0, np.float32), np.zeros(rows.shape, np.float32)
    for x, y, radius in _blobs(shape, rng):
        dx, dy = (columns - x) / radius, (rows - y) / radius
        near = 1 - (dx * dx + dy * dy)
        front = near > inside
        inside[front] = near[front]
        bright[front] = (-0.34 * dx - 0.5 * dy - 0.3 * y)[front]
    ragged = noise.window(noise.cloud(4, octaves=4, coarsest=32), rows.shape, rng)
    leaf = noise.window(noise.cloud(5, octaves=3, coarsest=64), rows.shape, rng)
    opacity = np.clip((inside * 0.9 + ragged * 0.2 + leaf * 0.12 - 0.12) * 5, 0, 1)
    opacity *= np.clip((0.985 - np.maximum(np.abs(rows), np.abs(columns))) * 30, 0, 1)
    tone = 0.42 + 0.42 * bright + 0.12 * leaf + 0.1 * ragged
    return (
        Image.fromarray((tone.clip(0, 1) * 255).astype(np.uint8)),
        Image.fromarray((opacity * 255).astype(np.uint8)),
    )


def _blobs(shape: Shape, rng: np.random.Generator) -> list[tuple[float, float, float]]:
    """Return the balls of leaves that make up a crown: x, y (downwards), radius, the crown reaching from -1 to 1."""
    count = {"round": 44, "cone": 50, "column": 40, "bush": 30}[shape]
    blobs = []
    for number in range(count):
        up = float(rng.uniform(-1, 1)) if number > 4 else 0.3 * (number - 2)
        reach = {
            "round": math.sqrt(max(0.0, 1 - up * up)) * 0.72,
            "cone": (1 + up) / 2 * 0.66,
            "column": 0.4 * math.sqrt(max(0.0, 1 - up**4)),
            "bush": math.sqrt(max(0.0, 1 - ((1 - up) / 2) ** 2)) * 0.72,
        }[shape]
        radius = float(rng.uniform(0.16, 0.34)) * (0.6 if shape == "cone" else 1.0)
        spread = 1 - radius
        blobs.append((float(rng.uniform(-reach, reach)), up * spread, radius))
    return blobs


def draw_tree(rng: np.random.Generator, foot: Point, along: float, small: bool = False) -> Tree:
    """Draw a tree, or a bush where ``small``."""
    shape: Shape = "bush" if small else pick(rng, TREES, (0.76, 0.12, 0.12))
    high = float(rng.uniform(0.8, 2.2) if small else rng.uniform(4.5, 12))
    slim = {"round": rng.uniform(0.62, 0.95), "cone": 0.5, "column": 0.34, "bush": rng.uniform(1.0, 1.8)}[shape]
    clear = 0.0 if small else high * (0.06 if shape == "cone" else float(rng.uniform(0.18, 0.32)))
    leaves = pick(rng, LEAVES, (0.24, 0.22, 0.18, 0.16, 0.07, 0.03, 0.1))
    tint = float(rng.uniform(0.8, 1.15))
    return Tree(
        foot,
        along,
        shape,
        high,
        high * float(slim),
        clear,
        times(leaves, tint),
        int(rng.integers(VARIANTS)),
    )
