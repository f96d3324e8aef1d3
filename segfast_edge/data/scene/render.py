"""One scene from its seed."""

import math

import numpy as np

from segfast_edge.contract.shared.images import Frame, Labels
from segfast_edge.data.scene.buildings import paint_backdrop, paint_houses, shade_houses
from segfast_edge.data.scene.camera import OVERSAMPLING, Camera
from segfast_edge.data.scene.canvas import Canvas
from segfast_edge.data.scene.cast import Cast, draw_cast
from segfast_edge.data.scene.chance import pick
from segfast_edge.data.scene.classes import SKY, VOID
from segfast_edge.data.scene.develop import develop
from segfast_edge.data.scene.ground import draw_surface, ground, sky, spots
from segfast_edge.data.scene.light import Light, draw_light, mixed
from segfast_edge.data.scene.shadows import Shadows
from segfast_edge.data.scene.street import Street, draw_street
from segfast_edge.data.scene.vehicles import PAINTS


def render(seed: tuple[int, ...], size: tuple[int, int]) -> tuple[Frame, Labels]:
    """Draw a frame, uint8 height x width x 3, and its labels, uint8 height x width, for one ``seed``.

    The same seed gives the same bytes in every process on one machine and version of numpy and Pillow.
    """
    rng = np.random.default_rng(seed)
    street, light = draw_street(rng), draw_light(rng)
    camera = _draw_camera(rng, street, size)
    cast = draw_cast(street, rng)
    shadows = Shadows(camera, light, size)
    lit = _shade(shadows, street, cast)
    softness = (0.4 if light.shadow > 0.3 else 2.0) * size[0] / 240
    frame, labels = _background(camera, street, light, rng, shadows.factor(softness))
    canvas = Canvas(frame, labels, camera, light)
    paint_backdrop(canvas, street, rng)
    paint_houses(canvas, street, cast.houses)
    for tree in sorted(cast.gardens, key=lambda t: -t.along):
        tree.paint_on(canvas, 0.8)
    for boundary in sorted(cast.boundaries, key=lambda b: -b.start):
        boundary.paint_on(canvas, street)
    for thing, share in sorted(zip(cast.things, lit, strict=True), key=lambda pair: -pair[0].along):
        thing.paint_on(canvas, share)
    if rng.uniform() < 0.3:
        _paint_bonnet(canvas, rng)
    frame, labels = canvas.finished()
    return develop(frame, canvas.glows, rng), labels


def _draw_camera(rng: np.random.Generator, street: Street, size: tuple[int, int]) -> Camera:
    """Mount the camera behind the windscreen of a car, sometimes of a van, never quite straight."""
    wide, high = size[1] * OVERSAMPLING, size[0] * OVERSAMPLING
    half_angle = rng.uniform(0.45, 0.62)
    focal = max(wide, high * 4 / 3) / 2 / math.tan(half_angle)
    eye = (
        street.own_lane + float(rng.normal(0, 0.25)),
        float(rng.uniform(1.15, 1.6) + 0.7 * (rng.uniform() < 0.12)),
        0.0,
    )
    angles = (float(rng.normal(0, 0.045)), float(rng.normal(0.03, 0.035)), float(rng.normal(0, 0.01)))
    return Camera.looking(float(focal), (wide / 2, high / 2), eye, angles)


def _shade(shadows: Shadows, street: Street, cast: Cast) -> list[float]:
    """Cast all shadows, the houses' first; return the share of the sun that they leave to each thing."""
    shade_houses(shadows, street, cast.houses)
    lit = [shadows.lit(thing.foot) for thing in cast.things]
    for thing in (*cast.gardens, *cast.things):
        thing.shade(shadows)
    return lit


def _background(
    camera: Camera, street: Street, light: Light, rng: np.random.Generator, shade: np.ndarray
) -> tuple[Frame, Labels]:
    """Render sky and ground; ``shade`` is what to multiply the ground with, height x width."""
    rays = camera.rays(shade.shape).reshape(-1, 3)
    up = rays[:, 1] > 0
    colours = np.empty(rays.shape, np.float32)
    labels = np.full(up.shape, SKY, np.uint8)
    colours[up] = sky(rays[up], light, rng)
    spot = spots(rays[~up], camera, street)
    own, labels[~up] = ground(spot, street, draw_surface(rng))
    lit = np.array(light.ambient, np.float32) + np.array(light.direct, np.float32) * np.float32(max(light.sun[1], 0))
    keep = np.exp(-spot.along / np.float32(light.haze_m))[:, None]
    own = own * lit * shade.reshape(-1)[~up, None]
    colours[~up] = own * keep + np.array(light.horizon, np.float32) * (1 - keep)
    return colours.clip(0, 255).astype(np.uint8).reshape(*shade.shape, 3), labels.reshape(shade.shape)


def _paint_bonnet(canvas: Canvas, rng: np.random.Generator) -> None:
    """Paint the own car's bonnet along the lower edge; it is nobody's class."""
    wide, high = canvas.wide, canvas.high
    rise, middle = high * float(rng.uniform(0.04, 0.12)), wide * float(rng.uniform(0.44, 0.56))
    paint = pick(rng, PAINTS)
    lit = canvas.light.on(paint, (0.0, 0.9, 0.4))
    for step in range(9):
        part = 1 - step / 9
        curve = [(x, high - rise * part * (1 - ((x - middle) / (0.62 * wide)) ** 2)) for x in range(-8, wide + 24, 16)]
        sky_share = 0.42 * part * part
        canvas.flat(
            [(-8.0, high + 2.0), *curve, (wide + 24.0, high + 2.0)],
            mixed(lit, canvas.light.horizon, sky_share),
            0.0,
            VOID,
        )
