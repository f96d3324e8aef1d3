"""What keeps the light off the ground: shadows that the sun casts, and the dark under and beside things."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from segfast_edge.data.scene.camera import OVERSAMPLING, Camera, Point
from segfast_edge.data.scene.light import Light

LONGEST_M = 30.0
_CONTACT = 0.55  # how dark it is right under a thing


class Shadows:
    """Collects shadows on the ground as a picture of the finished size, 0 none to 255 full."""

    def __init__(self, camera: Camera, light: Light, size: tuple[int, int]) -> None:
        self._camera, self._light = camera, light
        self._sun, self._close = (Image.new("L", size[::-1], 0) for _ in range(2))
        self._draw, self._draw_close = ImageDraw.Draw(self._sun), ImageDraw.Draw(self._close)

    def cast(self, base: Sequence[Point], height: float, lift: float = 0.0) -> None:
        """Add the shadow of an upright prism over ``base``, a polygon on the ground, from ``lift`` up to ``height``."""
        if self._light.sun[1] <= 0.05:
            return
        reach = [min(up / self._light.sun[1], LONGEST_M) for up in (lift, height)]
        ends = [(x - self._light.sun[0] * far, z - self._light.sun[2] * far) for far in reach for x, _, z in base]
        self._fill(self._draw, [(x, 0.0, z) for x, z in hull(ends)], 255)

    def touch(self, base: Sequence[Point], strength: float = 1.0) -> None:
        """Add the dark where a thing stands on ``base``."""
        self._fill(self._draw_close, base, int(255 * strength))

    def lit(self, foot: Point) -> float:
        """Return the share of the sun that reaches a point on the ground, by what has been cast so far."""
        seen = self._camera.seen(foot)
        if seen[2] < 0.5:
            return 1.0
        x, y = (int(part / OVERSAMPLING) for part in self._camera.pixel(seen))
        if not (0 <= x < self._sun.width and 0 <= y < self._sun.height):
            return 1.0
        return 1.0 - self._sun.crop((x, y, x + 1, y + 1)).tobytes()[0] / 255

    def factor(self, softness: float) -> np.ndarray:
        """Return what to multiply the ground with, height x width float32; ``softness`` is a blur in pixels."""
        sun = np.asarray(self._sun.filter(ImageFilter.GaussianBlur(softness)), np.float32) / 255
        close = np.asarray(self._close.filter(ImageFilter.GaussianBlur(softness * 1.5)), np.float32) / 255
        return np.asarray((1 - sun * np.float32(self._light.shadow * 0.9)) * (1 - close * np.float32(_CONTACT)))

    def _fill(self, draw: ImageDraw.ImageDraw, points: Sequence[Point], value: int) -> None:
        outline = self._camera.outline(points)
        if len(outline) > 2:
            draw.polygon([(x / OVERSAMPLING, y / OVERSAMPLING) for x, y in outline], fill=value)


def hull(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Return the convex hull, corner after corner (monotone chain)."""
    ordered = sorted(set(points))

    def chain(run: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
        kept: list[tuple[float, float]] = []
        for point in run:
            while len(kept) > 1 and _turn(kept[-2], kept[-1], point) <= 0:
                kept.pop()
            kept.append(point)
        return kept[:-1]

    return chain(ordered) + chain(ordered[::-1])


def _turn(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
