"""Where objects are painted, back to front: a picture and its labels, both at twice the final size."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from segfast_edge.contract.shared.images import Frame, Labels
from segfast_edge.data.scene.camera import NEAR, OVERSAMPLING, Camera, Pixel, Point
from segfast_edge.data.scene.light import Light, Rgb, ink, times


class Canvas:
    """Paints in the picture and, with a class id, in the labels; without one an object's detail keeps its label."""

    def __init__(self, frame: Frame, labels: Labels, camera: Camera, light: Light) -> None:
        self.camera, self.light = camera, light
        self.wide, self.high = frame.shape[1] * OVERSAMPLING, frame.shape[0] * OVERSAMPLING
        size = (self.wide, self.high)
        self.picture = Image.fromarray(frame).resize(size, Image.Resampling.NEAREST)
        self.labels = Image.fromarray(labels).resize(size, Image.Resampling.NEAREST)
        self._draw, self._draw_labels = ImageDraw.Draw(self.picture), ImageDraw.Draw(self.labels)
        self.sun_right = sum(a * s for a, s in zip(camera.axes[0], light.sun, strict=True)) > 0
        self.glows: list[tuple[Pixel, float, Rgb]] = []

    def shows(self, middle: Point, radius: float) -> bool:
        """Say whether anything of a ball of ``radius`` metres can be in the picture."""
        x, _, depth = self.camera.seen(middle)
        if depth < NEAR - radius:
            return False
        edge = self.camera.centre[0] / self.camera.focal * max(depth, 0.0)
        return abs(x) < edge + radius * 1.5

    def ink(self, colour: Rgb, distance: float) -> tuple[int, int, int]:
        """Return a lit colour as it looks through that much air, in metres."""
        return ink(self.light.hazed(colour, distance))

    def flat(self, points: Sequence[Pixel], colour: Rgb, distance: float, label: int | None = None) -> None:
        """Fill a polygon given in pixels."""
        if len(points) < 3:
            return
        self._draw.polygon(points, fill=self.ink(colour, distance))
        if label is not None:
            self._draw_labels.polygon(points, fill=label)

    def face(self, points: Sequence[Point], colour: Rgb, label: int | None = None) -> None:
        """Fill a polygon given in the world with a colour that is lit already."""
        seen = self.camera.seen(points[0])
        self.flat(self.camera.outline(points), colour, seen[2], label)

    def disc(self, centre: Point, radius: float, colour: Rgb, label: int | None = None) -> None:
        """Fill a ball of ``radius`` metres."""
        seen = self.camera.seen(centre)
        if seen[2] < NEAR:
            return
        (x, y), r = self.camera.pixel(seen), radius * self.camera.focal / seen[2]
        box = (x - r, y - r, x + r, y + r)
        self._draw.ellipse(box, fill=self.ink(colour, seen[2]))
        if label is not None:
            self._draw_labels.ellipse(box, fill=label)

    def limb(
        self, ends: tuple[Point, Point], widths: tuple[float, float], colour: Rgb, label: int | None = None
    ) -> None:
        """Draw a rod between two points, with its width in metres at each."""
        near, far = (self.camera.seen(end) for end in ends)
        if min(near[2], far[2]) < NEAR:
            return
        (ax, ay), (bx, by) = self.camera.pixel(near), self.camera.pixel(far)
        ra, rb = (max(0.5, w * self.camera.focal / s[2] / 2) for w, s in zip(widths, (near, far), strict=True))
        length = math.hypot(bx - ax, by - ay) or 1.0
        nx, ny = (ay - by) / length, (bx - ax) / length
        points = [
            (ax + nx * ra, ay + ny * ra),
            (bx + nx * rb, by + ny * rb),
            (bx - nx * rb, by - ny * rb),
            (ax - nx * ra, ay - ny * ra),
        ]
        self.flat(points, colour, near[2], label)

    def joint(self, centre: Point, width: float, colour: Rgb, label: int | None = None) -> None:
        """Round off where limbs of that width meet."""
        self.disc(centre, width / 2, colour, label)

    def warp(self, texture: Image.Image, corners: Sequence[Point], distance: float, label: int) -> None:
        """Stretch a texture over a wall; corners are top left, top right, bottom right, bottom left, all in front."""
        quad = [self.camera.pixel(self.camera.seen(corner)) for corner in corners]
        xs, ys = [x for x, _ in quad], [y for _, y in quad]
        left, right = max(0, math.floor(min(xs))), min(self.wide, math.ceil(max(xs)))
        top, bottom = max(0, math.floor(min(ys))), min(self.high, math.ceil(max(ys)))
        if right - left < 1 or bottom - top < 1:
            return
        shifted = [(x - left, y - top) for x, y in quad]
        patch = texture.transform(
            (right - left, bottom - top),
            Image.Transform.PERSPECTIVE,
            _homography(shifted, texture.size),
            Image.Resampling.BILINEAR,
        )
        mask = Image.new("L", patch.size, 0)
        ImageDraw.Draw(mask).polygon(shifted, fill=255)
        keep = math.exp(-max(distance, 0) / self.light.haze_m)
        if keep < 0.98:
            haze = Image.new("RGB", patch.size, self.ink((0, 0, 0), 1e9))
            patch = Image.blend(haze, patch, keep)
        self.picture.paste(patch, (left, top), mask)
        self._draw_labels.polygon(quad, fill=label)

    def sprite(self, picture: Image.Image, alpha: Image.Image, corner: tuple[int, int], label: int) -> None:
        """Lay a picture with an alpha channel over the canvas, its top left at ``corner`` in pixels."""
        self.picture.paste(picture, corner, alpha)
        self.labels.paste(label, corner, alpha.point(_ABOVE_HALF))

    def glow(self, at: Point, radius: float, colour: Rgb) -> None:
        """Remember a light of ``radius`` metres; it is added when the picture is developed."""
        seen = self.camera.seen(at)
        if seen[2] > NEAR:
            x, y = self.camera.pixel(seen)
            reach = radius * self.camera.focal / seen[2] / OVERSAMPLING
            keep = math.exp(-seen[2] / self.light.haze_m) * min(1.0, 14 / seen[2])
            self.glows.append(((x / OVERSAMPLING, y / OVERSAMPLING), reach, times(colour, keep)))

    def finished(self) -> tuple[Frame, Labels]:
        """Return both at the final size: averaged colours, and for labels the class that most of a pixel has."""
        picture = self.picture.reduce(OVERSAMPLING)
        ids = np.asarray(self.labels)
        a, b, c, d = ids[::2, ::2], ids[::2, 1::2], ids[1::2, ::2], ids[1::2, 1::2]
        most = np.where((a == b) | (a == c) | (a == d), a, np.where((b == c) | (b == d), b, np.where(c == d, c, a)))
        return np.asarray(picture), np.asarray(most, np.uint8)


_ABOVE_HALF = [255 if value > 127 else 0 for value in range(256)]


def _homography(quad: Sequence[Pixel], size: tuple[int, int]) -> tuple[float, ...]:
    """Return Pillow's eight coefficients that take points of ``quad`` to the corners of a texture of ``size``."""
    corners = ((0, 0), (size[0], 0), (size[0], size[1]), (0, size[1]))
    rows, values = [], []
    for (x, y), (u, v) in zip(quad, corners, strict=True):
        rows += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        values += [u, v]
    return tuple(float(part) for part in np.linalg.solve(np.array(rows), np.array(values)))
