"""Trees and bushes; crowns are grown once and then reused in any size, colour and mirror image."""

import functools
from typing import Literal

import numpy as np
from PIL import Image, ImageOps

from segfast_edge.data.scene import chance
from segfast_edge.data.scene.camera import NEAR, Point, Pose
from segfast_edge.data.scene.chance import Span, pick, within
from segfast_edge.data.scene.classes import TREE
from segfast_edge.data.scene.light import Rgb, mixed, times
from segfast_edge.data.scene.thing import Brush, Thing, ring

CROWN = 176  # pixels along a grown crown's side
VARIANTS = 12
_FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.NEAREST)  # a pixel belongs to a crown or it does not
Shape = Literal["round", "cone", "column", "bush"]
# height in metres, width and free trunk as shares of it, and how far the crown reaches to the side, from top to bottom
_SHAPES: dict[Shape, tuple[Span, Span, Span, tuple[float, ...]]] = {
    "round": ((4.5, 12), (0.62, 0.95), (0.18, 0.32), (0.0, 0.62, 0.72, 0.62, 0.0)),
    "cone": ((4.5, 12), (0.5, 0.5), (0.06, 0.06), (0.0, 0.17, 0.33, 0.5, 0.66)),
    "column": ((4.5, 12), (0.34, 0.34), (0.18, 0.32), (0.0, 0.39, 0.4, 0.39, 0.0)),
    "bush": ((0.8, 2.2), (1.0, 1.8), (0.0, 0.0), (0.0, 0.48, 0.62, 0.7, 0.72)),
}
LEAVES: tuple[Rgb, ...] = (
    (92, 120, 52), (74, 104, 46), (112, 128, 58), (84, 112, 70), (128, 122, 52), (150, 108, 44), (62, 88, 50),
)  # fmt: skip


def _paint(kind: tuple[Shape, int], size: Point, leaves: Rgb, brush: Brush) -> None:
    """Paint a crown of that shape and variant on a trunk; ``size``: width, height, how much of the trunk is free."""
    wide, high, clear = size
    thick, fork, bark = 0.034 * high, (0.0, clear + 0.2 * high, 0.0), (98, 80, 62)
    if clear:
        brush.rod([(0, 0, 0), fork], (thick, thick * 0.6), bark)
        for lean in (-0.16, 0.14):
            brush.rod([fork, (lean * wide, clear + 0.4 * high, 0.0)], (thick * 0.5, thick * 0.25), bark)
    canvas, light, seen = brush.canvas, brush.light, brush.camera.seen((0.0, (clear + high) / 2, 0.0))
    if seen[2] < NEAR + 1.0:
        return
    scale = canvas.camera.focal / seen[2]
    (x, y), half, tall = canvas.camera.pixel(seen), wide * scale / 2, (high - clear) * scale / 2
    left, top = x - half, y - tall
    x0, x1 = max(0, round(left)), min(canvas.wide, round(x + half))
    y0, y1 = max(0, round(top)), min(canvas.high, round(y + tall))
    if x1 <= x0 or y1 <= y0:
        return
    kx, ky = CROWN / (2 * half), CROWN / (2 * tall)
    corner = (max(0.0, (x0 - left) * kx), max(0.0, (y0 - top) * ky))
    box = (*corner, min(CROWN, (x1 - left) * kx), min(CROWN, (y1 - top) * ky))
    crown = zip(_crown(*kind, brush.sunny > 0), _FILTERS, strict=True)
    tone, mask = (part.resize((x1 - x0, y1 - y0), filtering, box) for part, filtering in crown)
    dark = light.hazed(light.on(times(leaves, 0.34), (0.0, 0.0, 0.0)), seen[2])
    sunlit = mixed(light.on(times(leaves, 1.3), light.sun, max(brush.lit, 0.35)), (255, 240, 150), 0.05)
    tone.putpalette(np.linspace(dark, light.hazed(sunlit, seen[2]), 256).clip(0, 255).astype(np.uint8).tobytes())
    canvas.paste(tone.convert("RGB"), mask, (x0, y0), TREE)


@functools.cache
def _crown(shape: Shape, variant: int, mirrored: bool) -> tuple[Image.Image, Image.Image]:
    """Grow a crown, lit from the upper left: its brightness and its mask, ``CROWN`` x ``CROWN`` grey pictures."""
    if mirrored:
        tone, mask = _crown(shape, variant, False)
        return ImageOps.mirror(tone), ImageOps.mirror(mask)
    rng = np.random.default_rng((104729, variant, len(shape), ord(shape[0])))
    rows, columns = np.mgrid[0:CROWN, 0:CROWN].astype(np.float32) * 2 / CROWN - 1
    inside, bright = np.full(rows.shape, -1.0, np.float32), np.zeros(rows.shape, np.float32)
    for number in range(44):  # balls of leaves; the first ones hold the crown together
        up = within(rng, (-1, 1)) if number > 4 else 0.3 * (number - 2)
        reach = float(np.interp(up, (-1, -0.5, 0, 0.5, 1), _SHAPES[shape][3]))
        radius = within(rng, (0.16, 0.34)) * (0.6 if shape == "cone" else 1.0)
        x, y = within(rng, (-reach, reach)), up * (1 - radius)
        dx, dy = (columns - x) / radius, (rows - y) / radius
        near = 1 - (dx * dx + dy * dy)
        front = near > inside
        inside[front] = near[front]
        bright[front] = (-0.34 * dx - 0.5 * dy - 0.3 * y)[front]
    ragged = chance.window(chance.cloud(4, octaves=4, coarsest=32), rows.shape, rng)
    leaf = chance.window(chance.cloud(5, octaves=3, coarsest=64), rows.shape, rng)
    leafy = (inside * 0.9 + ragged * 0.2 + leaf * 0.12 > 0.22) & (np.maximum(np.abs(rows), np.abs(columns)) < 0.97)
    shades = (0.42 + 0.42 * bright + 0.12 * leaf + 0.1 * ragged).clip(0, 1)
    return Image.fromarray((shades * 255).astype(np.uint8)), Image.fromarray(leafy.astype(np.uint8) * 255)


def draw_tree(rng: np.random.Generator, foot: Point, small: bool = False) -> Thing:
    """Draw a tree, or a bush if ``small``."""
    shape: Shape = "bush" if small else pick(rng, ("round", "cone", "column"), (0.76, 0.12, 0.12))
    highs, wides, clears, _ = _SHAPES[shape]
    high = within(rng, highs)
    wide, clear = high * within(rng, wides), high * within(rng, clears)
    leaves = times(pick(rng, LEAVES, (0.24, 0.22, 0.18, 0.16, 0.07, 0.03, 0.1)), within(rng, (0.8, 1.15)))
    paint = functools.partial(_paint, (shape, int(rng.integers(VARIANTS))), (wide, high, clear), leaves)
    return Thing(Pose(foot), ring(wide * 0.4, 8), high * 0.9, TREE, paint, clear)
