"""Colours, and the light of a scene: where the sun stands, what colour everything takes, how far one sees."""

import math
from typing import NamedTuple

import numpy as np

from segfast_edge.data.scene.camera import Point
from segfast_edge.data.scene.chance import Span, pick, within

Rgb = tuple[float, float, float]  # 0 to 255, before it is rounded


def times(colour: Rgb, factor: float) -> Rgb:
    """Return a lighter or darker colour."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def mixed(colour: Rgb, other: Rgb, share: float) -> Rgb:
    """Return ``colour`` with a ``share`` (0 to 1) of the other in it."""
    keep = 1 - share
    return colour[0] * keep + other[0] * share, colour[1] * keep + other[1] * share, colour[2] * keep + other[2] * share


def ink(colour: Rgb) -> tuple[int, int, int]:
    """Round a colour to bytes."""
    r, g, b = colour
    return int(min(r, 255.0)), int(min(g, 255.0)), int(min(b, 255.0))


class Light(NamedTuple):
    """The light of one scene; ``sun`` points towards it, ``ambient`` and ``direct`` are factors per channel."""

    ambient: Rgb
    direct: Rgb
    zenith: Rgb
    horizon: Rgb
    cloud_colour: Rgb
    haze_m: float
    lamps: float  # how much lamps and windows shine, 0 to 1
    clouds: float = 0.0  # share of the sky, 0 to 1
    sun: Point = (0.0, 1.0, 0.0)

    @property
    def shadow(self) -> float:
        """How much darker ground is in shadow, 0 to 1."""
        direct = sum(self.direct) * max(self.sun[1], 0.0)
        return direct / (direct + sum(self.ambient))

    def on(self, colour: Rgb, normal: Point, lit: float = 1.0) -> Rgb:
        """Shade a surface whose ``normal`` is a unit vector; ``lit`` is the share of the sun that reaches it."""
        (x, y, z), (nx, ny, nz), (r, g, b) = self.sun, normal, colour
        facing, sky = max(0.0, nx * x + ny * y + nz * z) * lit, 0.82 + 0.18 * ny
        (ar, ag, ab), (dr, dg, db) = self.ambient, self.direct
        return r * (ar * sky + dr * facing), g * (ag * sky + dg * facing), b * (ab * sky + db * facing)

    def hazed(self, colour: Rgb, distance: float) -> Rgb:
        """Let distance, in metres, fade a colour into the air's."""
        return mixed(self.horizon, colour, math.exp(-max(distance, 0.0) / self.haze_m))


# chance, elevation of the sun in radians, cover of clouds: clear, fair, overcast, golden hour, dusk
_WEATHERS: tuple[tuple[float, Span, Span, Light], ...] = (
    (0.26, (0.45, 1.05), (0.02, 0.22), Light(
        (0.5, 0.52, 0.58), (0.78, 0.74, 0.66), (88, 138, 214), (198, 218, 236), (252, 252, 252), 290, 0.0)),
    (0.3, (0.45, 1.05), (0.32, 0.68), Light(
        (0.5, 0.52, 0.58), (0.6, 0.57, 0.52), (88, 138, 214), (198, 218, 236), (252, 252, 252), 290, 0.0)),
    (0.22, (1.1, 1.1), (0.9, 0.9), Light(
        (0.86, 0.87, 0.9), (0.12, 0.12, 0.12), (175, 179, 189), (205, 207, 211), (205, 207, 211), 175, 0.1)),
    (0.14, (0.14, 0.3), (0.15, 0.55), Light(
        (0.55, 0.52, 0.56), (0.95, 0.72, 0.45), (96, 130, 185), (250, 212, 160), (255, 225, 190), 175, 0.25)),
    (0.08, (0.12, 0.12), (0.4, 0.4), Light(
        (0.36, 0.37, 0.47), (0.12, 0.08, 0.05), (38, 52, 96), (206, 140, 112), (140, 112, 125), 230, 1.0)),
)  # fmt: skip


def draw_light(rng: np.random.Generator) -> Light:
    """Draw the light of a scene."""
    _, elevations, cover, light = pick(rng, _WEATHERS, [weather[0] for weather in _WEATHERS])
    elevation, azimuth = within(rng, elevations), within(rng, (-math.pi, math.pi))
    flat, (high, low, cloud) = math.cos(elevation), rng.uniform(0.89, 1.11, 3).tolist()
    return light._replace(
        sun=(flat * math.sin(azimuth), math.sin(elevation), flat * math.cos(azimuth)),
        zenith=times(light.zenith, high),
        horizon=times(light.horizon, low),
        cloud_colour=times(light.cloud_colour, cloud),
        clouds=within(rng, cover),
        haze_m=light.haze_m * math.exp(within(rng, (-0.9, 0.9))),
    )
