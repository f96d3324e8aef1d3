"""Weather and time of day: where the sun stands, what colour everything takes, how far one sees."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from segfast_edge.data.scene.chance import pick

Rgb = tuple[float, float, float]  # 0 to 255, before it is rounded
Normal = tuple[float, float, float]  # unit vector out of a surface


def times(colour: Rgb, factor: float) -> Rgb:
    """Return a lighter or darker colour."""
    return colour[0] * factor, colour[1] * factor, colour[2] * factor


def mixed(colour: Rgb, other: Rgb, share: float) -> Rgb:
    """Return ``colour`` with a ``share`` (0 to 1) of the other in it."""
    r, g, b = colour
    keep = 1 - share
    return r * keep + other[0] * share, g * keep + other[1] * share, b * keep + other[2] * share


def ink(colour: Rgb) -> tuple[int, int, int]:
    """Round a colour to bytes."""
    r, g, b = colour
    return int(min(max(r, 0.0), 255.0)), int(min(max(g, 0.0), 255.0)), int(min(max(b, 0.0), 255.0))


@dataclass(frozen=True, slots=True)
class Light:
    """The light of one scene; ``sun`` points towards it, ``ambient`` and ``direct`` are factors per channel."""

    sun: tuple[float, float, float]
    ambient: Rgb
    direct: Rgb
    zenith: Rgb
    horizon: Rgb
    haze_m: float
    clouds: float  # share of the sky, 0 to 1
    cloud_colour: Rgb
    lamps: float  # how much lamps and windows shine, 0 to 1

    @property
    def shadow(self) -> float:
        """How much darker ground is in shadow, 0 to 1."""
        direct, ambient = sum(self.direct) * max(self.sun[1], 0.0), sum(self.ambient)
        return direct / (direct + ambient)

    def on(self, colour: Rgb, normal: Normal, lit: float = 1.0) -> Rgb:
        """Shade a surface; ``lit`` is the share of the sun that reaches it."""
        x, y, z = self.sun
        facing = max(0.0, normal[0] * x + normal[1] * y + normal[2] * z) * lit
        sky = 0.82 + 0.18 * normal[1]
        a, d = self.ambient, self.direct
        return (
            colour[0] * (a[0] * sky + d[0] * facing),
            colour[1] * (a[1] * sky + d[1] * facing),
            colour[2] * (a[2] * sky + d[2] * facing),
        )

    def hazed(self, colour: Rgb, distance: float) -> Rgb:
        """Let distance, in metres, fade a colour into the air's."""
        keep = math.exp(-max(distance, 0.0) / self.haze_m)
        return mixed(self.horizon, colour, keep)


def _sun(elevation: float, azimuth: float) -> tuple[float, float, float]:
    flat = math.cos(elevation)
    return flat * math.sin(azimuth), math.sin(elevation), flat * math.cos(azimuth)


_KINDS = ("clear", "fair", "overcast", "golden", "dusk")
_CHANCES = (0.26, 0.3, 0.22, 0.14, 0.08)


def draw_light(rng: np.random.Generator) -> Light:
    """Draw the light of a scene: clear, fair, overcast, golden hour or dusk."""
    kind = pick(rng, _KINDS, _CHANCES)
    turn, vary = float(rng.uniform(-math.pi, math.pi)), rng.uniform(-1, 1, 4).tolist()
    haze = float(np.exp(rng.uniform(math.log(120), math.log(700))))
    if kind in ("clear", "fair"):
        return _day(turn, vary, haze, fair=kind == "fair")
    return {"overcast": _overcast, "golden": _golden, "dusk": _dusk}[kind](turn, vary, haze)


def _day(turn: float, vary: Sequence[float], haze: float, *, fair: bool) -> Light:
    return Light(
        sun=_sun(0.75 + 0.3 * vary[3], turn),
        ambient=(0.5, 0.52, 0.58),
        direct=(0.6, 0.57, 0.52) if fair else (0.78, 0.74, 0.66),
        zenith=(88 + 22 * vary[0], 138 + 16 * vary[0], 214 + 10 * vary[0]),
        horizon=(198 + 16 * vary[1], 218 + 10 * vary[1], 236),
        haze_m=haze,
        clouds=0.5 + 0.18 * vary[2] if fair else 0.12 + 0.1 * vary[2],
        cloud_colour=(252, 252, 252),
        lamps=0.0,
    )


def _overcast(turn: float, vary: Sequence[float], haze: float) -> Light:
    grey = 205 + 22 * vary[0]
    return Light(
        sun=_sun(1.1, turn),
        ambient=(0.86, 0.87, 0.9),
        direct=(0.12, 0.12, 0.12),
        zenith=(grey - 30, grey - 26, grey - 16),
        horizon=(grey, grey + 2, grey + 6),
        haze_m=haze * 0.6,
        clouds=0.9,
        cloud_colour=(grey, grey + 2, grey + 6),
        lamps=0.1,
    )


def _golden(turn: float, vary: Sequence[float], haze: float) -> Light:
    return Light(
        sun=_sun(0.22 + 0.08 * vary[0], turn),
        ambient=(0.55, 0.52, 0.56),
        direct=(0.95, 0.72, 0.45),
        zenith=(96, 130, 185),
        horizon=(250, 212, 160),
        haze_m=haze * 0.6,
        clouds=0.35 + 0.2 * vary[1],
        cloud_colour=(255, 225, 190),
        lamps=0.25,
    )


def _dusk(turn: float, vary: Sequence[float], haze: float) -> Light:
    return Light(
        sun=_sun(0.12, turn),
        ambient=(0.36 + 0.05 * vary[0], 0.37 + 0.05 * vary[0], 0.47 + 0.05 * vary[0]),
        direct=(0.12, 0.08, 0.05),
        zenith=(38, 52, 96),
        horizon=(206 + 30 * vary[1], 140 + 25 * vary[1], 112),
        haze_m=haze * 0.8,
        clouds=0.4,
        cloud_colour=(140, 112, 125),
        lamps=1.0,
    )
