"""What keeps the light off the ground: shadows that the sun casts, and the dark under and beside things."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from segfast_edge.data.scene.camera import OVERSAMPLING, Camera, Point
from segfast_edge.data.scene.light import Light
from segfast_edge.data.scene.thing import Thing

LONGEST_M = 30.0
_CONTACT = 0.5  # how dark it is right under a thing


class Shadows:
    """Collects shadows on the ground as a picture of the finished size, 0 none to 255 full."""

    def __init__(self, camera: Camera, light: Light, size: tuple[int, int]) -> None:
        self._camera, self._light = camera, light
        self._sun, self._close = (Image.new("L", size[::-1], 0) for _ in range(2))
        self._draw, self._draw_close = ImageDraw.Draw(self._sun), ImageDraw.Draw(self._close)

    def of(self, thing: Thing) -> float:
        """Add the shadows of a thing; return the share of the sun that those before it leave at its foot."""
        lit, ground = self._lit(thing.pose.foot), thing.ground
        if thing.clear:
            self._cast(ground, thing.clear, thing.high)
            x, _, z = thing.pose.foot
            ground = [(x + 0.04 * (px - x), 0.0, z + 0.04 * (pz - z)) for px, _, pz in ground]
        self._cast(ground, 0.0, thing.high)
        self._fill(self._draw_close, ground)
        return lit

    def _lit(self, foot: Point) -> float:
        seen = self._camera.seen(foot)
        if seen[2] < 0.5:
            return 1.0
        x, y = (int(part / OVERSAMPLING) for part in self._camera.pixel(seen))
        inside = 0 <= x < self._sun.width and 0 <= y < self._sun.height
        return 1.0 - self._sun.getpixel((x, y)) / 255 if inside else 1.0

    def factor(self, softness: float) -> np.ndarray:
        """Return what to multiply the ground with, height x width float32; ``softness`` is a blur in pixels."""
        sun = np.asarray(self._sun.filter(ImageFilter.GaussianBlur(softness)), np.float32) / 255
        close = np.asarray(self._close.filter(ImageFilter.GaussianBlur(softness * 1.5)), np.float32) / 255
        return np.asarray((1 - sun * np.float32(self._light.shadow * 0.9)) * (1 - close * np.float32(_CONTACT)))

    def _cast(self, base: Sequence[Point], low: float, high: float) -> None:
        """Add the shadow of an upright prism over ``base``: its floor, its top, and what its widest chord sweeps."""
        sx, sy, sz = self._light.sun
        floor, top = (
            [(x - sx * far, 0.0, z - sz * far) for x, _, z in base]
            for far in (min(up / sy, LONGEST_M) for up in (low, high))
        )
        *_, left = order = sorted(range(len(base)), key=lambda k: sx * base[k][2] - sz * base[k][0])
        for part in (floor, top, (floor[left], floor[order[0]], top[order[0]], top[left])):
            self._fill(self._draw, part)

    def _fill(self, draw: ImageDraw.ImageDraw, points: Sequence[Point]) -> None:
        outline = self._camera.outline([self._camera.seen(point) for point in points])
        if len(outline) > 2:
            draw.polygon([(x / OVERSAMPLING, y / OVERSAMPLING) for x, y in outline], fill=255)
