"""A sheet of samples: frame, labels and both together, with the classes' colours named below."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.overlay import colour_mask, overlay
from segfast_edge.contract.shared.images import Frame
from segfast_edge.data.sample import Sample

TILE = 320  # width of one picture in pixels
MARGIN = 6
_ROW = 20  # height of one line of the legend
_PAPER, _INK = (255, 255, 255), (30, 30, 34)


def sheet(samples: Sequence[Sample], classes: ClassSet) -> Frame:
    """Lay samples out, frame, overlay and labels beside each other, a row each: uint8 height x width x 3."""
    rows = [_row(sample, classes) for sample in samples]
    width = max(row.width for row in rows)
    legend = _legend(classes, width)
    height = sum(row.height + MARGIN for row in rows) + legend.height + MARGIN
    page = Image.new("RGB", (width, height), _PAPER)
    top = MARGIN
    for row in (*rows, legend):
        page.paste(row, (0, top))
        top += row.height + MARGIN
    return np.array(page, dtype=np.uint8)


def _row(sample: Sample, classes: ClassSet) -> Image.Image:
    frame, labels = sample.frame, sample.labels
    tiles = []
    for picture in (frame, overlay(frame, labels, classes), colour_mask(labels, classes)):
        tile = Image.fromarray(picture)
        tiles.append(tile.resize((TILE, max(1, round(TILE * tile.height / tile.width)))))
    row = Image.new("RGB", (len(tiles) * (TILE + MARGIN) + MARGIN, max(tile.height for tile in tiles)), _PAPER)
    for number, tile in enumerate(tiles):
        row.paste(tile, (MARGIN + number * (TILE + MARGIN), 0))
    return row


def _legend(classes: ClassSet, width: int) -> Image.Image:
    words = [(name, colour) for name, colour in zip(classes.names, classes.palette, strict=True)]
    if classes.ignored is not None:
        words.append(("not counted", (0, 0, 0)))
    columns = max(1, width // 160)
    lines = -(-len(words) // columns)
    page = Image.new("RGB", (width, lines * _ROW + MARGIN), _PAPER)
    draw = ImageDraw.Draw(page)
    for number, (name, colour) in enumerate(words):
        x, y = MARGIN + number % columns * 160, number // columns * _ROW + MARGIN
        draw.rectangle((x, y, x + 20, y + 12), fill=colour, outline=_INK)
        draw.text((x + 26, y), name, fill=_INK)
    return page
