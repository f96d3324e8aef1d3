"""From the painted canvas to what a cheap camera would have recorded: glow, exposure, colour cast, blur and noise."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageFilter

from segfast_edge.contract.images import Frame
from segfast_edge.data.scene import chance
from segfast_edge.data.scene.camera import Pixel
from segfast_edge.data.scene.chance import within
from segfast_edge.data.scene.light import Rgb


def develop(frame: Frame, glows: Sequence[tuple[Pixel, float, Rgb]], rng: np.random.Generator) -> Frame:
    """Return the recorded picture, uint8 height x width x 3."""
    size = frame.shape[:2]
    if rng.uniform() < 0.6:
        blur = ImageFilter.GaussianBlur(within(rng, (0.2, 0.75)) * size[0] / 240)
        frame = np.asarray(Image.fromarray(frame).filter(blur))
    light = frame.astype(np.float32)
    for centre, radius, colour in glows:
        _add_glow(light, centre, radius, colour)
    down, right = (np.linspace(-1, 1, length, dtype=np.float32) ** 2 for length in size)
    light *= (1 - np.float32(within(rng, (0, 0.14))) * (down[:, None] + right))[..., None]  # a lens darkens corners
    gain = np.clip((122 / max(float(light.mean()), 1)) ** within(rng, (0.4, 0.9)), 0.7, 2.2) * np.exp(
        rng.normal(0, 0.1)
    )
    contrast, saturation = np.exp(rng.normal(0.02, 0.1)), np.exp(rng.normal(-0.06, 0.16))
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
