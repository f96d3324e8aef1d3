"""A drawn road, as pixels and as JPEG."""

import io

import numpy as np
from PIL import Image, ImageDraw


def jpeg(picture: Image.Image, quality: int = 85) -> bytes:
    """Return a picture as JPEG."""
    stream = io.BytesIO()
    picture.save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def draw_road(size: tuple[int, int], phase: float) -> Image.Image:
    """Draw a road with trees beside it and a car on it; ``phase`` 0 to 1 moves the lane marks and the car."""
    height, width = size
    rows = np.linspace(0, 1, height)[:, None, None]
    sky = np.array([150, 190, 235]) * (1 - rows) + np.array([215, 225, 235]) * rows
    picture = Image.fromarray(np.broadcast_to(sky, (height, width, 3)).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    horizon = height * 0.45
    pen.rectangle((0, horizon, width, height), fill=(96, 124, 72))
    pen.polygon([(0, height), (width * 0.46, horizon), (width * 0.54, horizon), (width, height)], fill=(86, 86, 92))
    for mark in range(6):
        near, far = ((mark + phase) / 6) ** 2, ((mark + phase + 0.45) / 6) ** 2
        top, bottom = (horizon + (height - horizon) * part for part in (near, far))
        pen.rectangle((width * (0.5 - 0.01 * near), top, width * (0.5 + 0.01 * far), bottom), fill=(235, 235, 225))
    for tree in range(5):
        depth = ((tree + phase) / 5) ** 2
        for side in (-1, 1):
            x, y = width * (0.5 + side * (0.1 + 0.6 * depth)), horizon + (height - horizon) * depth * 0.4
            tall = height * (0.06 + 0.4 * depth)
            pen.rectangle((x - tall * 0.03, y - tall * 0.4, x + tall * 0.03, y), fill=(84, 62, 44))
            pen.ellipse((x - tall * 0.3, y - tall, x + tall * 0.3, y - tall * 0.3), fill=(48, 98, 52))
    near = 0.35 + 0.25 * float(np.sin(2 * np.pi * phase))
    x, y, wide = width * (0.5 + 0.12 * near), horizon + (height - horizon) * near * near, width * 0.16 * near
    pen.rectangle((x - wide / 2, y - wide * 0.7, x + wide / 2, y), fill=(168, 34, 40))
    pen.rectangle((x - wide * 0.4, y - wide * 0.65, x + wide * 0.4, y - wide * 0.4), fill=(40, 50, 64))
    return picture
