"""The canvas of a scene: one picture at twice the final size, whose fourth channel is the label."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from segfast_edge.contract.shared.images import Frame, Labels
from segfast_edge.data.scene.camera import NEAR, OVERSAMPLING, Camera, Pixel, Point
from segfast_edge.data.scene.light import Light, Rgb, ink, times


class Canvas:
    """Takes strokes in pixels; each sets colour and label of the same pixels, so that labels are exact."""

    def __init__(self, frame: Frame, labels: Labels, camera: Camera, light: Light) -> None:
        self.camera, self.light = camera, light
        self.wide, self.high = frame.shape[1] * OVERSAMPLING, frame.shape[0] * OVERSAMPLING
        self.image = Image.fromarray(np.dstack((frame, labels))).resize(
            (self.wide, self.high), Image.Resampling.NEAREST
        )
        self._draw = ImageDraw.Draw(self.image)
        self.glows: list[tuple[Pixel, float, Rgb]] = []

    def shows(self, middle: Point, radius: float) -> bool:
        """Say whether anything of a ball of ``radius`` metres can be in the picture."""
        x, _, depth = self.camera.seen(middle)
        edge = self.camera.centre[0] / self.camera.focal * max(depth, 0.0)
        return depth > NEAR - radius and abs(x) < edge + radius * 1.5

    def fill(self, points: Sequence[Pixel], colour: Rgb, distance: float, label: int) -> None:
        """Fill a polygon; ``distance`` is that of the air in front of it, in metres."""
        if len(points) > 2:
            self._draw.polygon(points, fill=(*ink(self.light.hazed(colour, distance)), label))

    def disc(self, centre: Pixel, radius: float, colour: Rgb, distance: float, label: int) -> None:
        """Fill a disc."""
        (x, y), paint = centre, ink(self.light.hazed(colour, distance))
        self._draw.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*paint, label))

    def paste(self, picture: Image.Image, mask: Image.Image, corner: tuple[int, int], label: int) -> None:
        """Lay a picture over the canvas where ``mask`` is 255, its top left at ``corner``."""
        picture.putalpha(label)
        self.image.paste(picture, corner, mask)

    def glow(self, seen: Point, radius: float, colour: Rgb) -> None:
        """Remember a light of ``radius`` metres; it is added when the picture is developed."""
        if seen[2] > NEAR:
            x, y = self.camera.pixel(seen)
            reach = radius * self.camera.focal / seen[2] / OVERSAMPLING
            keep = math.exp(-seen[2] / self.light.haze_m) * min(1.0, 14 / seen[2])
            self.glows.append(((x / OVERSAMPLING, y / OVERSAMPLING), reach, times(colour, keep)))

    def finished(self) -> tuple[Frame, Labels]:
        """Return both at the final size: averaged colours, and for labels the class that most of a pixel has."""
        ids = np.asarray(self.image.getchannel("A"))
        a, b, c, d = ids[::2, ::2], ids[::2, 1::2], ids[1::2, ::2], ids[1::2, 1::2]
        most = np.where((a == b) | (a == c) | (a == d), a, np.where((b == c) | (b == d), b, np.where(c == d, c, a)))
        return np.asarray(self.image.convert("RGB").reduce(OVERSAMPLING)), np.asarray(most, np.uint8)
