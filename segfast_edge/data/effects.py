"""Effects that a recipe adds to the augmentation, as ``rotate=10,rain=0.5@0.3``: NAME=STRENGTH@PROBABILITY."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from segfast_edge.contract.shared.images import Frame, Labels
from segfast_edge.data.warping import turned, warped
from segfast_edge.errors import DataError, unknown
from segfast_edge.own_code import own_function

Pair = tuple[Frame, Labels]
FEW = 0.25  # copy-paste takes classes that make up less than this share of a picture: objects, not the road
_MIXING = ("cutmix", "copy-paste")


@dataclass(frozen=True, slots=True)
class Kind:
    """What an effect's strength is, its largest value, and how often the effect happens if nothing is said."""

    strength: str
    most: float
    chance: float


# in the order in which they are applied
KINDS: Mapping[str, Kind] = {
    "rare": Kind("number of windows from which the one with the rarest classes is taken", 100, 1.0),
    "limit": Kind("share of a window's pixels that one class may make up, if a window can be found", 1, 1.0),
    "rotate": Kind("largest angle in degrees", 180, 0.5),
    "perspective": Kind("how far corners move, as a share of the side", 0.4, 0.5),
    "cutmix": Kind("largest side of the rectangle that shows another picture, as a share", 1, 0.5),
    "copy-paste": Kind("share of another picture's small classes that are pasted", 1, 0.5),
    "dark": Kind("darkest gamma: 1 is a gamma of 4", 1, 0.3),
    "rain": Kind("density of the streaks", 1, 0.3),
    "motion-blur": Kind("longest trace in pixels", 63, 0.2),
    "cutout": Kind("largest side of the rectangle that is hidden, as a share", 1, 0.5),
}


@dataclass(frozen=True, slots=True)
class Effect:
    """An effect of ``KINDS``, or one's own ``package.module:function`` of (frame, labels, generator)."""

    name: str
    strength: float
    chance: float

    @property
    def mixes(self) -> bool:
        """Whether it needs a second picture."""
        return self.name in _MIXING

    @property
    def chooses(self) -> bool:
        """Whether it is about the choice of the window."""
        return self.name in ("rare", "limit")

    def apply(self, pair: Pair, other: Pair | None, padding: int | None, rng: np.random.Generator) -> Pair:
        """Return the changed pair; ``other`` is the second picture and ``padding`` the label of hidden pixels."""
        if ":" in self.name:
            return _own(self.name, pair, rng)
        if other is not None and self.name == "cutmix":
            return _cutmix(pair, other, self.strength, rng)
        if other is not None:
            return _copy_paste(pair, other, _chosen(other[1], padding, self.strength, rng))
        if self.name in _MOVING:
            return _MOVING[self.name](pair, padding, self.strength, rng)
        return _LIGHT[self.name](pair[0], self.strength, rng), pair[1]


def parse_effects(words: Sequence[str]) -> tuple[Effect, ...]:
    """Read ``NAME=STRENGTH@PROBABILITY``; the probability may be left out. They come in the order of application.

    Raises:
        DataError: an unknown name, a value out of range, or an effect named twice.
    """
    found = [_parsed(word) for word in words]
    names = [effect.name for effect in found]
    for name in names:
        if names.count(name) > 1:
            raise DataError(f"effect {name} is given twice")
    order = list(KINDS)
    return tuple(sorted(found, key=lambda effect: order.index(effect.name) if effect.name in order else len(order)))


def _parsed(word: str) -> Effect:
    text, at, chance_text = word.partition("@")
    name, _, strength_text = text.partition("=")
    own = ":" in name
    if not own and name not in KINDS:
        raise DataError(unknown("effect", name, KINDS) + ", or your own package.module:function")
    kind = Kind("", 1, 1.0) if own else KINDS[name]
    try:
        strength = 1.0 if own else float(strength_text)
        chance = float(chance_text) if at else kind.chance
    except ValueError:
        raise DataError(f"effect '{word}' is not NAME=STRENGTH@PROBABILITY, such as rotate=10@0.5") from None
    if not 0 < strength <= kind.most:
        raise DataError(f"effect {word}: the strength ({kind.strength}) must be over 0 and at most {kind.most:g}")
    if not 0 < chance <= 1:
        raise DataError(f"effect {word}: the probability must be over 0 and at most 1")
    return Effect(name, strength, chance)


def _own(name: str, pair: Pair, rng: np.random.Generator) -> Pair:
    expected = "function(frame, labels, generator) that gives a frame and labels"
    made = own_function("effect", name, expected)(*pair, rng)
    shapes = pair[0].shape, pair[1].shape
    if not (
        isinstance(made, tuple)
        and tuple(getattr(part, "shape", None) for part in made) == shapes
        and all(part.dtype == np.uint8 for part in made)
    ):
        raise DataError(f"effect '{name}' must give uint8 arrays of {shapes[0]} and {shapes[1]}, as it was given them")
    return made


def _rotate(pair: Pair, padding: int | None, degrees: float, rng: np.random.Generator) -> Pair:
    return warped(pair, turned(pair[1].shape, math.radians(rng.uniform(-degrees, degrees))), padding)


def _perspective(pair: Pair, padding: int | None, share: float, rng: np.random.Generator) -> Pair:
    high, wide = pair[1].shape
    corners = np.array([(0, 0), (wide, 0), (wide, high), (0, high)], float)
    return warped(pair, corners + rng.uniform(-share, share, (4, 2)) * (wide, high) / 2, padding)


def _rectangle(shape: tuple[int, ...], share: float, rng: np.random.Generator) -> tuple[slice, slice]:
    sides = [max(1, round(side * share * rng.uniform(0.3, 1.0))) for side in shape]
    starts = [int(rng.integers(0, whole - side + 1)) for whole, side in zip(shape, sides, strict=True)]
    rows, columns = (slice(start, start + side) for start, side in zip(starts, sides, strict=True))
    return rows, columns


def _cutout(pair: Pair, padding: int | None, share: float, rng: np.random.Generator) -> Pair:
    """Hide a rectangle behind its mean colour; what it hides does not count where the data has such a label."""
    frame, labels = pair[0].copy(), pair[1].copy()
    place = _rectangle(labels.shape, share, rng)
    frame[place] = frame[place].mean((0, 1)).round()
    if padding is not None:
        labels[place] = padding
    return frame, labels


def _cutmix(pair: Pair, other: Pair, share: float, rng: np.random.Generator) -> Pair:
    frame, labels = pair[0].copy(), pair[1].copy()
    place = _rectangle(labels.shape, share, rng)
    frame[place], labels[place] = other[0][place], other[1][place]
    return frame, labels


def _chosen(labels: Labels, padding: int | None, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return which of a picture's labels are pasted: so many of those that make up little of it."""
    ids, counts = np.unique(labels, return_counts=True)
    small = ids[(counts < FEW * labels.size) & (ids != padding)]
    chosen: np.ndarray = small[rng.uniform(size=len(small)) < share]
    return chosen


def _copy_paste(pair: Pair, other: Pair, ids: np.ndarray) -> Pair:
    pasted = np.isin(other[1], ids)
    return np.where(pasted[..., None], other[0], pair[0]), np.where(pasted, other[1], pair[1])


def _dark(frame: Frame, strength: float, rng: np.random.Generator) -> Frame:
    gamma = 1 + 3 * strength * rng.uniform(0.3, 1.0)
    table = (255 * (np.arange(256) / 255) ** gamma).round().astype(np.uint8)
    changed: Frame = table[frame]
    return changed


def _rain(frame: Frame, strength: float, rng: np.random.Generator) -> Frame:
    """Draw bright streaks of one direction, slightly out of focus, over a picture with less contrast."""
    high, wide = frame.shape[:2]
    layer = Image.new("L", (wide, high))
    draw = ImageDraw.Draw(layer)
    slant = rng.uniform(-0.35, 0.35)
    for _ in range(max(1, round(strength * high * wide / 500))):
        x, y = rng.uniform(0, wide), rng.uniform(-0.1 * high, high)
        length = high * rng.uniform(0.03, 0.1)
        draw.line((x, y, x + slant * length, y + length), fill=int(rng.integers(90, 190)))
    streaks = np.asarray(layer.filter(ImageFilter.GaussianBlur(0.6)), np.float32)[..., None] / 255
    grey = frame * np.float32(1 - 0.25 * strength) + np.float32(40 * strength)
    return (grey + (230 - grey) * streaks).clip(0, 255).astype(np.uint8)


def _motion_blur(frame: Frame, pixels: float, rng: np.random.Generator) -> Frame:
    """Average the picture along a straight line."""
    length, angle = rng.uniform(2, max(2, pixels)), rng.uniform(0, math.pi)
    steps = max(2, math.ceil(length))
    reach = math.ceil(length / 2)
    wide = np.pad(frame, ((reach, reach), (reach, reach), (0, 0)), "edge")
    total = np.zeros(frame.shape, np.float32)
    for along in np.linspace(-length / 2, length / 2, steps):
        down, right = reach + round(along * math.sin(angle)), reach + round(along * math.cos(angle))
        total += wide[down : down + frame.shape[0], right : right + frame.shape[1]]
    return (total / steps).round().astype(np.uint8)


_MOVING: Mapping[str, Callable[[Pair, int | None, float, np.random.Generator], Pair]] = {
    "rotate": _rotate,
    "perspective": _perspective,
    "cutout": _cutout,
}
_LIGHT: Mapping[str, Callable[[Frame, float, np.random.Generator], Frame]] = {
    "dark": _dark,
    "rain": _rain,
    "motion-blur": _motion_blur,
}
