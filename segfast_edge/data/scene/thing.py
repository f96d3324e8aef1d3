"""Things on the street, the brush that paints them in their own coordinates, and their shadows."""

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from segfast_edge.data.scene.camera import NEAR, OVERSAMPLING, Camera, Pixel, Point, Pose
from segfast_edge.data.scene.canvas import Canvas
from segfast_edge.data.scene.light import Light, Rgb, mixed, times

Corners = Sequence[Point]  # of a flat polygon, counterclockwise as seen from outside
Box = tuple[float, float, float, float]  # left, low, right, high
Rod = tuple[Sequence[Point], tuple[float, float], Rgb]  # joints, the width at either end, colour
_SIDEWAYS: Point = (0.0, 0.45, -0.9)  # the normal that lights a rod: up, and towards the camera


class Brush:
    """Paints in a thing's own coordinates: right, up and forward from its foot, in metres."""

    def __init__(self, canvas: Canvas, pose: Pose, label: int, lit: float = 1.0) -> None:
        self.canvas, self.label, self.lit = canvas, label, lit
        self.camera = canvas.camera.beside(pose)
        self.light = canvas.light._replace(sun=pose.own(canvas.light.sun))
        self.scale = canvas.camera.focal / max(1.0, self.camera.seen((0.0, 0.0, 0.0))[2])  # pixels per metre
        self.gloss = 0.0  # the sky's share of what an upward face shows
        self.sunny = math.copysign(0.2, sum(a * b for a, b in zip(self.camera.axes[0], self.light.sun, strict=True)))

    def face(self, corners: Corners, colour: Rgb, label: int | None = None, *, shining: bool = False) -> bool:
        """Fill a polygon if it faces the camera, and say so; one that shines looks the same in any light."""
        (ax, ay, az), (bx, by, bz), (cx, cy, cz) = corners[0], corners[1], corners[-1]
        ux, uy, uz, vx, vy, vz = cx - ax, cy - ay, cz - az, bx - ax, by - ay, bz - az
        nx, ny, nz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        ex, ey, ez = self.camera.position
        if nx * (ex - ax) + ny * (ey - ay) + nz * (ez - az) <= 0:
            return False
        if not shining:
            long = math.sqrt(nx * nx + ny * ny + nz * nz)
            colour = self.light.on(colour, (nx / long, ny / long, nz / long), self.lit)
            if self.gloss:
                colour = mixed(colour, self.light.horizon, self.gloss * max(0.0, 0.25 + ny / long))
        seen = self.camera.all_seen(corners)
        distance = (seen[0][2] + seen[2][2]) / 2
        self.canvas.fill(self.camera.outline(seen), colour, distance, self.label if label is None else label)
        return True

    def panel(self, box: Box, colour: Rgb, z: float = 0.0, label: int | None = None, *, shining: bool = False) -> bool:
        """Fill an upright rectangle at ``z`` that faces backwards."""
        left, low, right, high = box
        corners = ((left, low, z), (right, low, z), (right, high, z), (left, high, z))
        return self.face(corners, colour, label, shining=shining)

    def solid(self, profile: Sequence[tuple[float, float, float]], colour: Rgb, x: float = 0.0) -> list[Corners]:
        """Paint a convex body and return its faces: one from each corner to the next, then its right and left sides.

        ``profile`` is its outline, counterclockwise as seen from the right: forward, up, and half its width there.
        """
        right: list[Point] = [(x + half, up, forward) for forward, up, half in profile]
        left: list[Point] = [(x - half, up, forward) for forward, up, half in profile]
        faces: list[Corners] = [(left[k], right[k], right[k - 1], left[k - 1]) for k in range(len(profile))]
        faces = [*faces[1:], faces[0], right, [*left[1::-1], *left[:1:-1]]]
        for corners in faces:
            self.face(corners, colour)
        return faces

    def rods(self, rods: Iterable[Rod]) -> None:
        """Paint rods, the farthest first."""
        for rod in sorted(rods, key=lambda rod: -sum(self.camera.seen(joint)[2] for joint in rod[0]) / len(rod[0])):
            self.rod(*rod)

    def rod(self, joints: Sequence[Point], widths: tuple[float, float], colour: Rgb) -> None:
        """Paint a round rod through joints, lighter on the sunny side; through a single one, a ball."""
        seen = self.camera.all_seen(joints)
        if min(point[2] for point in seen) < NEAR:
            return
        colour = self.light.on(colour, _SIDEWAYS, self.lit)
        step, focal = (widths[1] - widths[0]) / max(1, len(seen) - 1), self.camera.focal
        radii = [max(0.5, (widths[0] + step * k) * focal / point[2] / 2) for k, point in enumerate(seen)]
        stops = [(self.camera.pixel(point), radius, point[2]) for point, radius in zip(seen, radii, strict=True)]
        for (near, ra, depth), (far, rb, _) in itertools.pairwise(stops):
            self.canvas.fill(_band(near, far, (ra, rb), 0.0), colour, depth, self.label)
            if ra > 3:
                shift = self.sunny * (ra + rb)
                self.canvas.fill(_band(near, far, (ra * 0.4, rb * 0.4), shift), times(colour, 1.2), depth, self.label)
        for middle, radius, depth in stops[len(stops) > 1 :]:
            if radius > 1.2:
                self.canvas.disc(middle, radius, colour, depth, self.label)


@dataclass(frozen=True, slots=True)
class Thing:
    """Something that stands at ``pose`` on ``base``, its corners right and forward in metres, ``high`` metres high."""

    pose: Pose
    base: Sequence[tuple[float, float]]
    high: float
    label: int
    paint: Callable[[Brush], object]
    clear: float = 0.0  # how far the ground is free below it, as below a tree's crown

    @property
    def ground(self) -> list[Point]:
        """The corners of its base in the world."""
        return [self.pose.at((x, 0.0, z)) for x, z in self.base]

    def paint_on(self, canvas: Canvas, lit: float) -> None:
        """Paint it if it can be seen; ``lit`` is the share of the sun that reaches it."""
        reach = max(math.hypot(x, z) for x, z in self.base)
        if canvas.shows(self.pose.foot, reach + 0.4 * min(self.high, 10.0)):
            self.paint(Brush(canvas, self.pose, self.label, lit))


class Shadows:
    """Collects shadows on the ground as a picture of the finished size, 0 none to 255 full."""

    def __init__(self, camera: Camera, light: Light, size: tuple[int, int]) -> None:
        self._camera, self._light = camera, light
        self._sun, self._close = (Image.new("L", size[::-1], 0) for _ in range(2))
        self._draw, self._draw_close = ImageDraw.Draw(self._sun), ImageDraw.Draw(self._close)

    def of(self, thing: Thing) -> float:
        """Add the shadows of a thing; return the share of the sun that those before it leave at its foot."""
        seen, ground = self._camera.seen(thing.pose.foot), thing.ground
        if seen[2] > 60:  # too far away to tell
            return 1.0
        x, y = (part / OVERSAMPLING for part in self._camera.pixel(seen)) if seen[2] > 0.5 else (-1.0, -1.0)
        visible = 0 <= x < self._sun.width and 0 <= y < self._sun.height
        lit = 0.0 if visible and self._sun.getpixel((int(x), int(y))) else 1.0
        if thing.clear:
            self._cast(ground, thing.clear, thing.high)
            x, _, z = thing.pose.foot
            ground = [(x + 0.04 * (px - x), 0.0, z + 0.04 * (pz - z)) for px, _, pz in ground]
        self._cast(ground, 0.0, thing.high)
        self._fill(self._draw_close, ground)
        return lit

    def factor(self, softness: float) -> np.ndarray:
        """Return what to multiply the ground with, height x width float32; ``softness`` is a blur in pixels."""
        sun = np.asarray(self._sun.filter(ImageFilter.GaussianBlur(softness)), np.float32) / 255
        close = np.asarray(self._close.filter(ImageFilter.GaussianBlur(softness * 1.5)), np.float32) / 255
        return np.asarray((1 - sun * np.float32(self._light.shadow * 0.9)) * (1 - close * np.float32(0.5)))

    def _cast(self, base: Sequence[Point], low: float, high: float) -> None:
        """Add the shadow of an upright prism over ``base``: its floor, its top, and what its widest chord sweeps."""
        sx, sy, sz = self._light.sun
        floor, top = (
            [(x - sx * far, 0.0, z - sz * far) for x, _, z in base]
            for far in (min(up / sy, 30.0) for up in (low, high))
        )
        *_, left = order = sorted(range(len(base)), key=lambda k: sx * base[k][2] - sz * base[k][0])
        for part in (floor, top, (floor[left], floor[order[0]], top[order[0]], top[left])):
            self._fill(self._draw, part)

    def _fill(self, draw: ImageDraw.ImageDraw, points: Sequence[Point]) -> None:
        outline = self._camera.outline(self._camera.all_seen(points))
        if len(outline) > 2:
            draw.polygon([(x / OVERSAMPLING, y / OVERSAMPLING) for x, y in outline], fill=255)


def rectangle(half: float, rear: float, front: float) -> list[tuple[float, float]]:
    """Return a base that is ``2 * half`` wide."""
    return [(-half, rear), (half, rear), (half, front), (-half, front)]


def ring(radius: float, count: int = 16) -> list[tuple[float, float]]:
    """Return the corners of a regular polygon, counterclockwise."""
    angles = [2 * math.pi * k / count for k in range(count)]
    return [(radius * math.cos(angle), radius * math.sin(angle)) for angle in angles]


def inside(corners: Corners, box: Box) -> list[Point]:
    """Return the part of a quadrangle between shares 0 to 1 of its width and height, from its first corner on."""
    left, low, right, high = box
    found: list[Point] = []
    for u, v in ((left, low), (right, low), (right, high), (left, high)):
        parts = zip(*corners, strict=True)
        x, y, z = ((p * (1 - u) + q * u) * (1 - v) + (s * (1 - u) + t * u) * v for p, q, t, s in parts)
        found.append((x, y, z))
    return found


def _band(near: Pixel, far: Pixel, radii: tuple[float, float], shift: float) -> list[Pixel]:
    """Return the outline of a straight rod, moved to the right by ``shift`` pixels."""
    (ax, ay), (bx, by), (ra, rb) = near, far, radii
    long = math.hypot(bx - ax, by - ay) or 1.0
    nx, ny, ax, bx = (ay - by) / long, (bx - ax) / long, ax + shift, bx + shift
    ends = ((ax, ay, ra), (bx, by, rb), (bx, by, -rb), (ax, ay, -ra))
    return [(x + nx * r, y + ny * r) for x, y, r in ends]
