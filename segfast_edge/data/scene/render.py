"""One scene from its seed."""

import numpy as np
from PIL import Image, ImageDraw

from segfast_edge.contract.images import Frame, Labels
from segfast_edge.data.scene.classes import BUILDING, CAR, PAVEMENT, ROAD, SKY


def render(seed: tuple[int, ...], size: tuple[int, int]) -> tuple[Frame, Labels]:
    """Draw a frame, uint8 height x width x 3, and its labels, uint8 height x width, for one ``seed``."""
    rng = np.random.default_rng(seed)
    high, wide = size
    horizon = int(high * rng.uniform(0.4, 0.5))
    picture, labels = Image.new("RGB", (wide, high), (150, 180, 220)), Image.new("L", (wide, high), SKY)
    pens = ((ImageDraw.Draw(picture), ImageDraw.Draw(labels)),)

    def polygon(points: list[tuple[float, float]], colour: tuple[int, int, int], label: int) -> None:
        for rgb, ids in pens:
            rgb.polygon(points, fill=colour)
            ids.polygon(points, fill=label)

    middle = wide * rng.uniform(0.4, 0.6)
    for x in np.arange(0, wide, wide / 8):
        top = horizon - high * rng.uniform(0.05, 0.35)
        shade = int(rng.integers(90, 180))
        box = [(x, horizon), (x, top), (x + wide / 8, top), (x + wide / 8, horizon)]
        polygon(box, (shade, shade - 20, shade - 40), BUILDING)
    polygon([(0, horizon), (wide, horizon), (wide, high), (0, high)], (150, 145, 140), PAVEMENT)
    polygon(
        [(middle - 4, horizon), (middle + 4, horizon), (wide * 0.95, high), (wide * 0.05, high)], (80, 80, 85), ROAD
    )
    for _ in range(int(rng.integers(1, 4))):
        depth = rng.uniform(0.2, 0.8)
        y, x, half = (
            horizon + depth * (high - horizon),
            middle + rng.uniform(-0.3, 0.3) * wide * depth,
            wide * 0.1 * depth,
        )
        red, green, blue = (int(part) for part in rng.integers(30, 220, 3))
        polygon([(x - half, y), (x - half, y - half), (x + half, y - half), (x + half, y)], (red, green, blue), CAR)
    noise = rng.normal(0, 6, (high, wide, 1))
    frame = np.clip(np.asarray(picture, np.float32) + noise, 0, 255).astype(np.uint8)
    return frame, np.array(labels)
