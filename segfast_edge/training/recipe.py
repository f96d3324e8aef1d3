"""Recipes: everything that decides the outcome of a training except the network and the data."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, Literal, get_args

from segfast_edge.data.effects import parse_effects
from segfast_edge.errors import SegfastError, unknown
from segfast_edge.own_code import own_function

Optimiser = Literal["adam", "adamw", "sgd"]
SCHEDULES = ("constant", "cosine", "poly")  # or one's own function
LOSSES = ("ce", "ohem", "focal", "ce+lovasz", "ce+dice", "ce+tversky")  # or one's own function
ClassWeights = Literal["none", "enet", "soft", "median"]


@dataclass(frozen=True, slots=True)
class Recipe:
    """Optimiser, schedule, loss and length of a training.

    ``lr`` is the peak learning rate for the global batch; ``warmup_epochs`` rise to it linearly. ``ema`` is the
    decay per step of the averaged weights that are validated and kept, 0 for none. ``clip`` bounds the gradient's
    L2 norm, 0 for none. ``patience`` is how many epochs without a better mIoU on val end the training, 0 for never.
    ``distill`` weighs the teacher's term, if there is a teacher. ``crop`` is the side of the window that an
    augmented example shows, as a share of the network's input: smaller ones train faster, objects keep their size,
    val is always whole. ``val_every`` is after how many epochs val is looked at; it always is after the last.
    ``fake_int8`` trains, and looks at val, with weights and inputs of layers rounded as int8 rounds them.
    ``class_weights`` weighs the classes in the cross-entropy by their share p of the pixels: ``enet`` with
    1 / ln(1.02 + p) (Paszke et al. 2016), ``soft`` with 1 / ln(1.10 + p), ``median`` with the median share over p
    (Eigen and Fergus 2015). ``scale``, ``colour``, ``hue`` and ``blur`` are the bounds of the augmentation: zoom,
    brightness, contrast and saturation, hue, and how often the picture is blurred. ``encoder_lr`` is the part of the
    learning rate with which weights of a network's ``encoder`` are trained, where they come pretrained; ``lr_groups``
    gives such parts for other modules by the prefix of their name, and ``layer_decay`` multiplies it once more for
    every layer before the last. ``freeze`` names modules that are not trained. ``accumulate`` computes a step in so
    many parts, to need less memory. ``fraction`` of the training pictures are used, drawn by the seed.
    """

    name: str
    epochs: int = 200
    batch_size: int = 8
    optimiser: Optimiser = "adam"
    lr: float = 1e-3
    weight_decay: float = 0.0
    schedule: str = "constant"
    warmup_epochs: int = 0
    loss: str = "ce"
    class_weights: ClassWeights = "none"
    augment: bool = False
    scale: tuple[float, float] = (0.5, 2.0)
    colour: float = 0.4
    hue: float = 0.05
    blur: float = 0.1
    ema: float = 0.0
    clip: float = 0.0
    patience: int = 0
    distill: float = 1.0
    crop: float = 1.0
    val_every: int = 1
    fake_int8: bool = False
    encoder_lr: float = 1.0
    lr_groups: tuple[tuple[str, float], ...] = ()
    layer_decay: float = 1.0
    freeze: tuple[str, ...] = ()
    accumulate: int = 1
    fraction: float = 1.0
    effects: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for key in ("epochs", "batch_size", "warmup_epochs", "patience", "val_every", "accumulate"):
            least = 0 if key in ("warmup_epochs", "patience") else 1
            if getattr(self, key) < least:
                raise SegfastError(f"{_flag(key)} {getattr(self, key)} is too small; at least {least}")
        for key in ("lr", "weight_decay", "clip", "distill"):
            value = getattr(self, key)
            if not 0 <= value < float("inf") or (key == "lr" and value == 0):
                raise SegfastError(
                    f"{_flag(key)} {value} must be a finite number {'over' if key == 'lr' else 'from'} 0"
                )
        if not 0 <= self.ema < 1:
            raise SegfastError(f"--ema {self.ema} must lie from 0 (off) to below 1")
        for key in ("encoder_lr", "layer_decay", "fraction"):
            if not 0 < getattr(self, key) <= 1:
                raise SegfastError(f"{_flag(key)} {getattr(self, key)} must be over 0 and at most 1")
        for prefix, share in self.lr_groups:
            if not 0 < share < float("inf"):
                raise SegfastError(f"--lr-groups {prefix}={share} must be a finite number over 0; --freeze trains none")
        if self.batch_size % self.accumulate:
            raise SegfastError(f"--accumulate {self.accumulate} does not divide --batch-size {self.batch_size}")
        if not 0.25 <= self.crop <= 1:
            raise SegfastError(f"--crop {self.crop} must lie from 0.25 to 1")
        if self.crop < 1 and not self.augment:
            raise SegfastError(f"--crop {self.crop} needs --augment: without it, examples are whole")
        if parse_effects(self.effects) and not self.augment:
            raise SegfastError(f"--effects {','.join(self.effects)} needs --augment")
        for key, known in (
            ("optimiser", get_args(Optimiser)),
            ("schedule", SCHEDULES),
            ("loss", LOSSES),
            ("class_weights", get_args(ClassWeights)),
        ):
            value = str(getattr(self, key))
            if value not in known and not (":" in value and key in ("schedule", "loss")):
                raise SegfastError(unknown(key, value, known))

    def changed(self, changes: Mapping[str, Any]) -> "Recipe":
        """Return this recipe with some fields changed; a value of None changes nothing."""
        return replace(self, **{key: value for key, value in changes.items() if value is not None})

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Recipe":
        """Read what ``to_json`` wrote; a field that an older release did not have takes its default."""
        known = {field.name: value[field.name] for field in fields(cls) if field.name in value}
        if isinstance(known.get("class_weights"), bool):  # as releases before 0.7 wrote it
            known["class_weights"] = "enet" if known["class_weights"] else "none"
        return cls(**{key: _immutable(found) for key, found in known.items()})


def _immutable(value: Any) -> Any:
    """Return JSON lists as tuples."""
    return tuple(map(_immutable, value)) if isinstance(value, list) else value


def _flag(field: str) -> str:
    return "--" + field.replace("_", "-")


RECIPES = {
    # The paper's section on training. It does not give its batch size; 8 is our choice.
    "paper": Recipe("paper", patience=40),
    "edge": Recipe(
        "edge",
        epochs=400,
        optimiser="adamw",
        lr=2e-3,
        weight_decay=1e-2,
        schedule="poly",
        warmup_epochs=5,
        loss="ce+lovasz",
        augment=True,
        ema=0.998,
        clip=5.0,
    ),
    # For a network whose encoder comes pretrained: docs/accuracy.md has what each part is worth.
    "finetune": Recipe(
        "finetune",
        epochs=100,
        optimiser="adamw",
        lr=3e-3,
        weight_decay=1e-2,
        schedule="poly",
        warmup_epochs=1,
        class_weights="soft",
        augment=True,
        scale=(0.75, 1.75),
        colour=0.25,
        hue=0.0,
        blur=0.0,
        clip=5.0,
        ema=0.995,
        encoder_lr=0.2,
    ),
    # A few epochs from float weights for those that lose too much in int8.
    "qat": Recipe("qat", epochs=5, lr=1e-4, schedule="cosine", augment=True, clip=1.0, fake_int8=True),
}


def recipe(name: str) -> Recipe:
    """Return a recipe by its name.

    Raises:
        SegfastError: no such recipe.
    """
    if name not in RECIPES:
        raise SegfastError(unknown("recipe", name, RECIPES))
    return RECIPES[name]


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of a step counted from 0 over the whole training.

    A function of the step alone, so a resumed training needs no scheduler state.
    """
    warmup, total = recipe.warmup_epochs * steps_per_epoch, recipe.epochs * steps_per_epoch
    if step < warmup:
        return recipe.lr * (step + 1) / warmup
    done = (step - warmup) / max(1, total - warmup)
    if ":" in recipe.schedule:
        return recipe.lr * float(own_function("schedule", recipe.schedule, "function(progress)")(done))
    if recipe.schedule == "poly":
        return recipe.lr * float(max(0.0, 1 - done) ** 0.9)  # the power that DeepLab made customary
    if recipe.schedule == "cosine":
        return recipe.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))
    return recipe.lr
