"""One scene from its seed, as a cheap camera would record it."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageFilter

from segfast_edge.contract.shared.images import Frame, Labels
from segfast_edge.data.scene import chance
from segfast_edge.data.scene.camera import OVERSAMPLING, Camera, Pixel
from segfast_edge.data.scene.canvas import Canvas
from segfast_edge.data.scene.chance import pick, within
from segfast_edge.data.scene.classes import BUILDING, FENCE, SKY, VOID
from segfast_edge.data.scene.ground import ground, sky, spots
from segfast_edge.data.scene.light import Light, Rgb, draw_light, mixed
from segfast_edge.data.scene.scene_plan import draw_cast
from segfast_edge.data.scene.street import Street, draw_street
from segfast_edge.data.scene.thing import Shadows
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
    lit = {id(thing): shadows.of(thing) for layer in cast for thing in layer}
    softness = (0.4 if light.shadow > 0.3 else 2.0) * size[0] / 240
    canvas = Canvas(*_background((camera, street, light), rng, shadows.factor(softness)), camera, light)
    for layer in cast:
        for thing in sorted(layer, key=lambda thing: -min(z for _, _, z in thing.ground)):
            thing.paint_on(canvas, lit[id(thing)])
    if rng.random() < 0.3:
        _paint_bonnet(canvas, rng)
    frame, labels = canvas.finished()
    walls = (labels == BUILDING) | (labels == FENCE)
    stains, grain = (chance.window(field, size, rng) for field in (chance.cloud(1), chance.grain()))
    rough = frame * (1 + walls * (stains * 0.035 + grain * 0.03))[..., None]
    return _develop(rough.clip(0, 255).astype(np.uint8), canvas.glows, rng), labels


def _draw_camera(rng: Generator, street: Street, size: tuple[int, int]) -> Camera:
    """Mount the camera behind the windscreen of a car, sometimes of a van, never quite straight."""
    wide, high = size[1] * OVERSAMPLING, size[0] * OVERSAMPLING
    focal = max(wide, high * 4 / 3) / 2 / math.tan(within(rng, (0.45, 0.62)))
    across, yaw, pitch, roll = rng.normal((0, 0, 0.03, 0), (0.25, 0.045, 0.035, 0.01)).tolist()
    eye = (street.own + across, within(rng, (1.15, 1.6)) + 0.7 * (rng.random() < 0.12), 0.0)
    return Camera.looking(focal, (wide / 2, high / 2), eye, (yaw, pitch, roll))


def _background(view: tuple[Camera, Street, Light], rng: Generator, shade: np.ndarray) -> tuple[Frame, Labels]:
    """Render sky and ground; ``shade`` is what to multiply the ground with, height x width."""
    camera, street, light = view
    rays = camera.rays((shade.shape[0], shade.shape[1])).reshape(-1, 3)
    above = rays[:, 1] > 0
    up, down = np.flatnonzero(above), np.flatnonzero(~above)
    colours, labels = np.empty(rays.shape, np.float32), np.full(above.shape, SKY, np.uint8)
    colours[up] = sky(rays[up], light, rng)
    spot = spots(rays[down], camera, street)
    own, labels[down] = ground(spot, street, rng)
    ambient, direct, horizon = (np.array(part, np.float32) for part in (light.ambient, light.direct, light.horizon))
    keep = np.exp(-spot[1] / np.float32(light.haze_m))[:, None]
    own *= (ambient + direct * np.float32(max(light.sun[1], 0))) * shade.reshape(-1)[down, None]
    colours[down] = horizon + keep * (own - horizon)
    return colours.clip(0, 255).astype(np.uint8).reshape(*shade.shape, 3), labels.reshape(shade.shape)


def _paint_bonnet(canvas: Canvas, rng: Generator) -> None:
    """Paint the own car's bonnet along the lower edge; it is nobody's class."""
    wide, high = canvas.wide, canvas.high
    rise, middle = high * within(rng, (0.04, 0.12)), wide * within(rng, (0.44, 0.56))
    lit = canvas.light.on(pick(rng, PAINTS), (0.0, 0.9, 0.4))
    for step in range(9):
        part = 1 - step / 9
        curve = [(x, high - rise * part * (1 - ((x - middle) / (0.62 * wide)) ** 2)) for x in range(-8, wide + 24, 16)]
        outline = [(-8.0, high + 2.0), *curve, (wide + 24.0, high + 2.0)]
        canvas.fill(outline, mixed(lit, canvas.light.horizon, 0.42 * part * part), 0.0, VOID)


def _develop(frame: Frame, glows: Sequence[tuple[Pixel, float, Rgb]], rng: Generator) -> Frame:
    """Return what a cheap camera would have recorded: glow, exposure, colour cast, blur and noise."""
    size = frame.shape[:2]
    if rng.random() < 0.6:
        blur = ImageFilter.GaussianBlur(within(rng, (0.2, 0.75)) * size[0] / 240)
        frame = np.asarray(Image.fromarray(frame).filter(blur))
    light = frame.astype(np.float32)
    for centre, radius, colour in glows:
        _add_glow(light, centre, radius, colour)
    down, right = (np.linspace(-1, 1, length, dtype=np.float32) ** 2 for length in size)
    light *= (1 - np.float32(within(rng, (0, 0.14))) * (down[:, None] + right))[..., None]  # a lens darkens corners
    exposure, contrast, saturation = np.exp(rng.normal((0, 0.02, -0.06), (0.1, 0.1, 0.16)))
    gain = np.clip((122 / max(float(light.mean()), 1)) ** within(rng, (0.4, 0.9)), 0.7, 2.2) * exposure
    matrix = np.diag(np.exp(rng.normal(0, 0.024, 3)) * gain) @ (saturation * np.eye(3) + (1 - saturation) / 3)
    light = light @ (contrast * matrix.T).astype(np.float32) + np.float32((1 - contrast) * 110)
    strength = np.float32(within(rng, (0.6, 3.4)) * (1 + 0.8 * (gain > 1.4)))
    grain, *tints = (chance.window(chance.grain(), size, rng) * strength for _ in range(4))
    light += grain[..., None] + np.stack(tints, axis=-1) * np.float32(0.4)
    return np.asarray(light.clip(0, 255), np.uint8)


def _add_glow(light: np.ndarray, centre: Pixel, radius: float, colour: Rgb) -> None:
    reach = min(max(radius * 3, 2.0), light.shape[1] / 4)
    left, top = (max(0, int(at - reach)) for at in centre)
    part = light[top : max(0, int(centre[1] + reach) + 1), left : max(0, int(centre[0] + reach) + 1)]
    rows, columns = (np.arange(length, dtype=np.float32) for length in part.shape[:2])
    away = ((rows + (top - centre[1])) ** 2)[:, None] + (columns + (left - centre[0])) ** 2
    part += (np.clip(1 - away / np.float32(reach * reach), 0, 1) ** 2 * 0.3)[..., None] * np.array(colour, np.float32)
