"""Fences, walls and hedges of gardens."""

import functools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from PIL import Image, ImageDraw

from segfast_edge.data.scene import noise
from segfast_edge.data.scene.camera import NEAR
from segfast_edge.data.scene.canvas import Canvas
from segfast_edge.data.scene.chance import pick
from segfast_edge.data.scene.classes import FENCE, TREE
from segfast_edge.data.scene.light import Normal, Rgb, ink, times
from segfast_edge.data.scene.street import Street

Kind = Literal["wall", "boards", "hedge", "rail"]
COLOURS: dict[Kind, tuple[Rgb, ...]] = {
    "wall": ((150, 84, 64), (176, 166, 150), (206, 200, 188)),
    "boards": ((128, 96, 66), (92, 80, 70), (180, 178, 172)),
    "hedge": ((70, 98, 46), (84, 108, 54)),
    "rail": ((70, 74, 76), (44, 52, 50)),
}


@dataclass(frozen=True, slots=True)
class Boundary:
    """What closes a garden off, along the street at ``across`` from ``start`` to ``end``, in metres."""

    across: float
    start: float
    end: float
    kind: Kind
    high: float
    colour: Rgb
    seed: int

    def paint_on(self, canvas: Canvas, street: Street) -> None:
        """Paint the part of it that lies in front of the camera."""
        start = self.start
        while start < self.end - 0.5 and self._depth(canvas, street, start) < NEAR + 0.5:
            start += 0.5
        if start >= self.end - 0.5:
            return
        near, far = street.at(self.across, start), street.at(self.across, self.end)
        depth = self._depth(canvas, street, start)
        scale = min(canvas.camera.focal / depth, 300 / (self.end - start))
        normal: Normal = (-math.copysign(1.0, self.across), 0.0, 0.0)
        texture = self._texture(canvas, normal, (self.end - start, scale))
        tops = [(x, self.high, z) for x, _, z in (near, far)]
        corners = [tops[0], tops[1], far, near] if self.across < 0 else [tops[1], tops[0], near, far]
        canvas.warp(texture, corners, (depth + self.end - start) / 2, TREE if self.kind == "hedge" else FENCE)

    def _depth(self, canvas: Canvas, street: Street, along: float) -> float:
        return min(canvas.camera.seen(street.at(self.across, along, up))[2] for up in (0.0, self.high))

    def _texture(self, canvas: Canvas, normal: Normal, measure: tuple[float, float]) -> Image.Image:
        """Paint it flat; ``measure`` is its length in metres and the scale in pixels per metre."""
        long, scale = measure
        size = (max(4, round(long * scale)), max(3, round(self.high * scale)))
        rng = np.random.default_rng(self.seed)
        lit = canvas.light.on(self.colour, normal)
        if self.kind == "hedge":
            return _hedge(size, lit, rng)
        picture = _wall(size, lit, rng) if self.kind == "wall" else _slats(size, lit, rng, (self.kind, scale))
        ImageDraw.Draw(picture).rectangle((0, 0, size[0], max(1, round(0.09 * scale))), fill=ink(times(lit, 1.2)))
        return picture


def _hedge(size: tuple[int, int], lit: Rgb, rng: np.random.Generator) -> Image.Image:
    left, top = (int(at) for at in rng.integers(0, 120, size=2))
    leaves = _foliage().crop((left, top, left + 128, top + 64)).resize(size)
    tone = np.asarray(leaves, np.float32)[..., None] / 128 * np.linspace(1.25, 0.6, size[1])[:, None, None]
    return Image.fromarray((np.array(lit) * tone).clip(0, 255).astype(np.uint8))


def _wall(size: tuple[int, int], lit: Rgb, rng: np.random.Generator) -> Image.Image:
    window = size[::-1]
    grain = noise.window(noise.grain(), window, rng) * 0.07 + noise.window(noise.cloud(1), window, rng) * 0.05
    return Image.fromarray((np.array(lit) * (1 + grain[..., None])).clip(0, 255).astype(np.uint8))


def _slats(size: tuple[int, int], lit: Rgb, rng: np.random.Generator, how: tuple[Kind, float]) -> Image.Image:
    kind, scale = how
    picture = Image.new("RGB", size, ink(lit))
    draw = ImageDraw.Draw(picture)
    pitch, share = (0.12, 0.55) if kind == "rail" else (0.14, 0.85)
    step = max(2.0, pitch * scale)
    for number in range(int(size[0] / step) + 1):
        shade = 0.55 if kind == "rail" else float(rng.uniform(0.75, 1.1))
        draw.rectangle((number * step, 0, number * step + step * share, size[1]), fill=ink(times(lit, shade)))
    return picture


@functools.cache
def _foliage() -> Image.Image:
    """Return a tile of leaves as brightness."""
    tone = 0.45 + 0.2 * noise.cloud(5, octaves=3, coarsest=64) + 0.1 * noise.cloud(4, octaves=4, coarsest=32)
    return Image.fromarray((tone.clip(0, 1) * 255).astype(np.uint8))


def draw_boundary(rng: np.random.Generator, street: Street, side: int, span: tuple[float, float]) -> Boundary:
    """Draw what closes a garden off on that side, from and to ``span`` along the street."""
    kind = pick(rng, tuple(COLOURS), (0.34, 0.22, 0.28, 0.16))
    across = side * (street.half + street.verge + street.pavement + 0.15)
    high = float(rng.uniform(0.7, 1.8))
    return Boundary(across, *span, kind, high, pick(rng, COLOURS[kind]), int(rng.integers(1 << 30)))
