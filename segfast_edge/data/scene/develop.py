"""From the painted canvas to what a cheap camera would have recorded: glow, exposure, colour cast, blur and noise."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageFilter

from segfast_edge.contract.shared.images import Frame
from segfast_edge.data.scene import noise
from segfast_edge.data.scene.camera import Pixel
from segfast_edge.data.scene.light import Rgb


def develop(frame: Frame, glows: Sequence[tuple[Pixel, float, Rgb]], rng: np.random.Generator) -> Frame:
    """Return the recorded picture, uint8 height x width x 3."""
    if rng.uniform() < 0.6:
        picture = Image.fromarray(frame).filter(
            ImageFilter.GaussianBlur(float(rng.uniform(0.2, 0.75)) * frame.shape[0] / 240)
        )
        frame = np.asarray(picture)
    light = frame.astype(np.float32)
    for centre, radius, colour in glows:
        _add_glow(light, centre, radius, colour)
    light *= _lens(light.shape[:2], float(rng.uniform(0, 0.28)))
    grey = float(light.mean())
    gain = np.clip((122 / max(grey, 1)) ** float(rng.uniform(0.4, 0.9)), 0.7, 2.2) * np.exp(rng.normal(0, 0.1))
    cast = np.exp(rng.normal(0, 0.024, 3)) * gain
    contrast, saturation = np.exp(rng.normal(0.02, 0.1)), np.exp(rng.normal(-0.06, 0.16))
    matrix = np.diag(cast) @ (saturation * np.eye(3) + (1 - saturation) * np.full((3, 3), 1 / 3))
    light = light @ (contrast * matrix.T).astype(np.float32) + np.float32((1 - contrast) * 110)
    strength = np.float32(rng.uniform(0.6, 3.4) * (1 + 0.8 * (gain > 1.4)))
    grain = noise.window(noise.grain(), light.shape[:2], rng)[..., None] * strength
    tints = [noise.window(noise.grain(), light.shape[:2], rng) for _ in range(3)]
    light += grain + np.stack(tints, axis=-1) * (strength * np.float32(0.4))
    return np.asarray(light.clip(0, 255), np.uint8)


def _add_glow(light: np.ndarray, centre: Pixel, radius: float, colour: Rgb) -> None:
    reach = min(max(radius * 3, 2.0), light.shape[1] / 4)
    left, top = max(0, int(centre[0] - reach)), max(0, int(centre[1] - reach))
    part = light[top : int(centre[1] + reach) + 1, left : int(centre[0] + reach) + 1]
    if part.size == 0:
        return
    rows = np.arange(top, top + part.shape[0], dtype=np.float32)[:, None] - np.float32(centre[1])
    columns = np.arange(left, left + part.shape[1], dtype=np.float32)[None] - np.float32(centre[0])
    away = (rows * rows + columns * columns) / np.float32(reach * reach)
    part += (np.clip(1 - away, 0, 1) ** 2 * 0.3)[..., None] * np.array(colour, np.float32)


def _lens(size: tuple[int, int], strength: float) -> np.ndarray:
    """Return how much darker a lens makes the corners."""
    rows = np.linspace(-1, 1, size[0], dtype=np.float32)[:, None]
    columns = np.linspace(-1, 1, size[1], dtype=np.float32)[None]
    return np.asarray(1 - np.float32(strength) * (rows * rows + columns * columns) / 2)[..., None]
