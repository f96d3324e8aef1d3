"""Random changes to a training pair that leave its meaning: scale, crop, flip, colour, blur."""

import math
from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageFilter

from segfast_edge.contract.preprocess import check_frame
from segfast_edge.contract.shared.images import Frame, Labels
from segfast_edge.data.windows import WindowChoice
from segfast_edge.errors import DataError

_GREY = np.array([0.299, 0.587, 0.114])  # BT.601 luma
# RGB to luma and the two colour-difference axes of YIQ, in whose plane a hue is an angle
_YIQ = np.array([_GREY, [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])
_RGB = np.linalg.inv(_YIQ)
PADDING_COLOUR = (124, 116, 104)  # the mean that normalisation subtracts, so that padding reaches the network as zero


def generator(seed: int, epoch: int, index: int) -> np.random.Generator:
    """Return the random numbers for one sample in one epoch, whichever worker draws it and in whichever order."""
    return np.random.default_rng((seed, epoch, index))


@dataclass(frozen=True, slots=True)
class Augmentation:
    """Random changes of a pair before it becomes ``height`` x ``width`` (``size``, in pixels).

    ``scale`` bounds the zoom against plain resizing to ``size``, drawn evenly on a logarithmic axis; above 1 a
    window is cut out, below 1 the rest is filled with ``padding`` as label, or with the picture's edge where that
    is None. ``flip`` and ``blur`` are probabilities. ``brightness``, ``contrast`` and ``saturation`` bound a factor
    to 1 plus or minus the value; ``hue`` bounds a rotation, as a part of the colour circle. ``window_choice`` says
    which window is cut out, None for any.
    """

    size: tuple[int, int]
    padding: int | None = None
    scale: tuple[float, float] = (0.5, 2.0)
    flip: float = 0.5
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.05
    blur: float = 0.1
    blur_radius: float = 1.2  # largest, in pixels
    window_choice: WindowChoice | None = None

    def __post_init__(self) -> None:
        low, high = self.scale
        if not 0.1 <= low <= high <= 10:
            raise DataError(f"augmentation scale {low} to {high}; allowed are rising values from 0.1 to 10")
        for name, most in (("flip", 1.0), ("blur", 1.0), ("hue", 0.5)):
            if not 0 <= getattr(self, name) <= most:
                raise DataError(f"augmentation {name} is {getattr(self, name)}; allowed are 0 to {most}")
        for name in ("brightness", "contrast", "saturation"):
            if not 0 <= getattr(self, name) < 1:
                raise DataError(f"augmentation {name} is {getattr(self, name)}; allowed are values from 0 to below 1")

    def window(self, share: float) -> "Augmentation":
        """Return these changes for windows of ``share`` of each side, in which objects keep their size in pixels."""
        height, width = (max(16, 16 * round(side * share / 16)) if share < 1 else side for side in self.size)
        zoom = math.sqrt(self.size[0] * self.size[1] / (height * width))
        low, high = self.scale
        return replace(self, size=(height, width), scale=(low * zoom, high * zoom))

    def apply(self, frame: Frame, labels: Labels, rng: np.random.Generator) -> tuple[Frame, Labels]:
        """Return a changed copy of the pair at ``size``; labels are moved by nearest neighbour and never blended.

        Raises:
            DataError: the frame is not uint8 height x width x 3, or the labels are not of its height and width.
        """
        check_frame(frame)
        if labels.shape != frame.shape[:2] or labels.dtype != np.uint8:
            raise DataError(
                f"labels are {labels.dtype} {labels.shape} for a frame of {frame.shape[:2]}; expected uint8"
            )
        zoom = float(np.exp(rng.uniform(*np.log(self.scale))))
        place = rng.uniform(size=2) if self.window_choice is None else self.window_choice.place(labels, zoom, rng)
        pictures = (Image.fromarray(np.ascontiguousarray(frame)), Image.fromarray(np.ascontiguousarray(labels)))
        image, ids = _cut(pictures, self.size, zoom, place)
        image = self._blurred(self._coloured(image, rng), rng)
        if rng.uniform() < self.flip:
            image, ids = (p.transpose(Image.Transpose.FLIP_LEFT_RIGHT) for p in (image, ids))
        return self._padded(np.array(image, dtype=np.uint8), np.array(ids, dtype=np.uint8), place)

    def _padded(self, frame: Frame, labels: Labels, place: np.ndarray) -> tuple[Frame, Labels]:
        """Bring both to ``size`` by margins, the picture lying at ``place`` (0 to 1 along each axis) between them."""
        if labels.shape == self.size:
            return frame, labels
        before = [round((full - side) * at) for full, side, at in zip(self.size, labels.shape, place, strict=True)]
        margins = [(b, full - side - b) for b, full, side in zip(before, self.size, labels.shape, strict=True)]
        if self.padding is None:
            return np.pad(frame, [*margins, (0, 0)], "edge"), np.pad(labels, margins, "edge")
        wide = np.empty((*self.size, 3), np.uint8)
        wide[:] = PADDING_COLOUR
        ids = np.full(self.size, self.padding, np.uint8)
        window = tuple(slice(b, b + side) for b, side in zip(before, labels.shape, strict=True))
        wide[window], ids[window] = frame, labels
        return wide, ids

    def _coloured(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        bounds = np.array([self.brightness, self.contrast, self.saturation])
        brightness, contrast, saturation = 1 + bounds * rng.uniform(-1, 1, 3)
        angle = 2 * np.pi * self.hue * rng.uniform(-1, 1)
        turn = np.array([[1, 0, 0], [0, np.cos(angle), -np.sin(angle)], [0, np.sin(angle), np.cos(angle)]])
        colour = saturation * np.eye(3) + (1 - saturation) * np.outer(np.ones(3), _GREY)
        matrix = brightness * contrast * (_RGB @ turn @ _YIQ @ colour)
        grey = float(_GREY @ np.asarray(image, dtype=np.uint8).reshape(-1, 3).mean(axis=0))
        offset = np.full((3, 1), brightness * (1 - contrast) * grey)
        return image.convert("RGB", tuple(np.hstack([matrix, offset]).ravel().tolist()))

    def _blurred(self, image: Image.Image, rng: np.random.Generator) -> Image.Image:
        chance, radius = rng.uniform(size=2)
        if chance >= self.blur:
            return image
        return image.filter(ImageFilter.GaussianBlur(float(0.1 + (self.blur_radius - 0.1) * radius)))


_FILTERS = (Image.Resampling.BILINEAR, Image.Resampling.NEAREST)


def _cut(
    pictures: tuple[Image.Image, Image.Image], size: tuple[int, int], zoom: float, place: np.ndarray
) -> tuple[Image.Image, Image.Image]:
    """Cut what ``size`` shows of both pictures at ``zoom``, resizing in the same step: all of them where below 1."""
    wide, high = pictures[0].size
    tall, broad = high / max(zoom, 1), wide / max(zoom, 1)
    top, left = (high - tall) * place[0], (wide - broad) * place[1]
    box = (left, top, min(left + broad, wide), min(top + tall, high))
    rows, columns = (max(1, round(side * min(zoom, 1))) for side in size)
    image, ids = (p.resize((columns, rows), f, box=box) for p, f in zip(pictures, _FILTERS, strict=True))
    return image, ids
