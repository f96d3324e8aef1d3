"""From a recipe to what changes its training pictures; needs no torch, so that ``data check`` can show it."""

import numpy as np

from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.data import Dataset, Protocol
from segfast_edge.data.augmentation import Augmentation
from segfast_edge.data.augmented import Augmented
from segfast_edge.data.effects import parse_effects
from segfast_edge.data.protocol import padding_label
from segfast_edge.data.windows import WindowChoice, rarity
from segfast_edge.training.recipe import Recipe


def augmented(recipe: Recipe, protocol: Protocol, train: Dataset, seed: int) -> Augmented:
    """Return the recipe's augmentation and effects for the pictures of ``train``."""
    size, colour = (protocol.height, protocol.width), recipe.colour
    whole = Augmentation(
        size,
        padding_label(train.classes),
        scale=recipe.scale,
        brightness=colour,
        contrast=colour,
        saturation=colour,
        hue=recipe.hue,
        blur=recipe.blur,
        window_choice=_window_choice(recipe, protocol, train),
    )
    return Augmented(whole.window(recipe.crop), seed, len(train), recipe.effects)


def _window_choice(recipe: Recipe, protocol: Protocol, train: Dataset) -> WindowChoice | None:
    strengths = {effect.name: effect.strength for effect in parse_effects(recipe.effects) if effect.chooses}
    if not strengths:
        return None
    shares = class_shares(train, protocol.preprocess())
    void = padding_label(train.classes)
    if void is not None and void < len(shares):  # void counts, but nothing is to be learnt from more of it
        shares[void] = np.inf
    return WindowChoice(round(strengths.get("rare", 1)), strengths.get("limit", 1.0), rarity(shares))


def class_shares(dataset: Dataset, preprocess: Preprocess) -> np.ndarray:
    """Return each class's share of the counted pixels, in label order."""
    counts = np.zeros(256, np.int64)
    for index in range(len(dataset)):
        counts += np.bincount(preprocess.labels(dataset[index].labels).ravel(), minlength=256)
    counted = counts[: len(dataset.classes)]
    shares: np.ndarray = counted / max(1, counted.sum())
    return shares
