"""The pinhole camera that looks down the street, and where things stand in front of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

Point = tuple[float, float, float]  # metres: right, up, forward; the ground is at 0
Pixel = tuple[float, float]
OVERSAMPLING = 2  # the canvas has this many pixels along each side of one in the picture
NEAR = 0.35  # metres in front of the lens; what is nearer is cut off


@dataclass(frozen=True, slots=True)
class Pose:
    """The place of a thing, and its turn to the right of straight ahead as cosine and sine."""

    foot: Point
    cosine: float = 1.0
    sine: float = 0.0

    @classmethod
    def turned(cls, foot: Point, heading: float) -> "Pose":
        """Return the pose that faces ``heading``, in radians to the right."""
        return cls(foot, math.cos(heading), math.sin(heading))

    def at(self, point: Point) -> Point:
        """Return the world's point for one of the thing's own."""
        (x, y, z), (right, up, forward) = self.foot, point
        c, s = self.cosine, self.sine
        return x + right * c + forward * s, y + up, z + forward * c - right * s

    def own(self, direction: Point) -> Point:
        """Return a direction of the world as the thing itself describes it."""
        x, y, z = direction
        return x * self.cosine - z * self.sine, y, x * self.sine + z * self.cosine


@dataclass(frozen=True, slots=True)
class Camera:
    """Focal length and image centre in pixels, position in metres, and the axes right, up, forward as unit vectors."""

    focal: float
    centre: Pixel
    position: Point
    axes: tuple[Point, Point, Point]

    @classmethod
    def looking(cls, focal: float, centre: Pixel, position: Point, angles: Point) -> "Camera":
        """Build one from ``angles`` in radians: yaw to the right, pitch downwards, roll clockwise."""
        (sy, cy), (sp, cp), (sr, cr) = ((math.sin(angle), math.cos(angle)) for angle in angles)
        right: Point = (cr * cy + sr * sy * sp, sr * cp, sr * cy * sp - cr * sy)
        up: Point = (cr * sy * sp - sr * cy, cr * cp, cr * cy * sp + sr * sy)
        return cls(focal, centre, position, (right, up, (sy * cp, -sp, cy * cp)))

    def beside(self, pose: Pose) -> "Camera":
        """Return this camera in the coordinates of a thing that stands at ``pose``."""
        (x, y, z), (fx, fy, fz) = self.position, pose.foot
        right, up, forward = self.axes
        axes = (pose.own(right), pose.own(up), pose.own(forward))
        return replace(self, position=pose.own((x - fx, y - fy, z - fz)), axes=axes)

    def seen(self, point: Point) -> Point:
        """Return a point in the camera's own axes; the last number is its depth in metres."""
        return self.all_seen((point,))[0]

    def all_seen(self, points: Sequence[Point]) -> list[Point]:
        """Return points in the camera's own axes."""
        (ox, oy, oz), ((rx, ry, rz), (ux, uy, uz), (fx, fy, fz)) = self.position, self.axes
        own = [(x - ox, y - oy, z - oz) for x, y, z in points]
        return [(rx * x + ry * y + rz * z, ux * x + uy * y + uz * z, fx * x + fy * y + fz * z) for x, y, z in own]

    def pixel(self, seen: Point) -> Pixel:
        """Return where a point in the camera's axes falls on the picture."""
        scale = self.focal / seen[2]
        return self.centre[0] + scale * seen[0], self.centre[1] - scale * seen[1]

    def outline(self, seen: list[Point]) -> list[Pixel]:
        """Project a polygon in the camera's axes, cut off at the near plane; empty if nothing of it lies in front."""
        for point in seen:
            if point[2] < NEAR:
                seen = _cut_near(seen)
                break
        (x, y), focal = self.centre, self.focal
        return [(x + focal * right / depth, y - focal * up / depth) for right, up, depth in seen]

    def rays(self, size: tuple[int, int]) -> np.ndarray:
        """Return the world direction through each pixel of the finished picture: height x width x 3, depth 1 each."""
        step = OVERSAMPLING
        rows = (self.centre[1] - (np.arange(size[0], dtype=np.float32) + 0.5) * step) / self.focal
        columns = ((np.arange(size[1], dtype=np.float32) + 0.5) * step - self.centre[0]) / self.focal
        right, up, forward = (np.array(axis, np.float32) for axis in self.axes)
        return np.asarray(columns[None, :, None] * right + (rows[:, None, None] * up + forward))


def _cut_near(points: list[Point]) -> list[Point]:
    """Keep the part of a polygon in front of the near plane (Sutherland-Hodgman for one plane)."""
    kept: list[Point] = []
    for (ax, ay, az), (bx, by, bz) in zip(points, points[1:] + points[:1], strict=True):
        if az >= NEAR:
            kept.append((ax, ay, az))
        if (az >= NEAR) != (bz >= NEAR):
            part = (NEAR - az) / (bz - az)
            kept.append((ax + part * (bx - ax), ay + part * (by - ay), NEAR))
    return kept
