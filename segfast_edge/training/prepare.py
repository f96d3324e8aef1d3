"""From settings to everything a training needs: data in memory, the network on its device, its optimiser."""

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.shared.files import sha256
from segfast_edge.data import Protocol, open_source
from segfast_edge.data.effects import parse_effects
from segfast_edge.data.leaks import training_splits
from segfast_edge.data.protocol import check_counts
from segfast_edge.data.splits import recorded
from segfast_edge.data.subset import drawn_fraction
from segfast_edge.errors import DataError, SegfastError
from segfast_edge.model import build
from segfast_edge.model.checkpoint import Checkpoint
from segfast_edge.model.fake_int8 import with_fake_int8
from segfast_edge.model.normalise import Normalise
from segfast_edge.model.pretrained import pretrained_of, start_from_pretrained
from segfast_edge.own_code import own_function
from segfast_edge.progress import Progress
from segfast_edge.training.augmenting import augmented, class_shares
from segfast_edge.training.batches import Examples, Order, in_order
from segfast_edge.training.distributed import World, wrap
from segfast_edge.training.ema import Average
from segfast_edge.training.execution import Execution
from segfast_edge.training.loading import loader
from segfast_edge.training.loop import Teacher, TrainingSetup
from segfast_edge.training.losses import balanced_weights
from segfast_edge.training.recipe import Recipe
from segfast_edge.training.settings import TrainingSettings
from segfast_edge.training.starting import first_weights
from segfast_edge.training.state import State
from segfast_edge.training.weights import freeze, optimiser


@dataclass(frozen=True, slots=True)
class TrainingData:
    """The data of a training: both splits and how they are counted.

    For the record also the file that it begins with (``start``) and what was chosen of the dataset (``dataset``).
    """

    protocol: Protocol
    classes: ClassSet
    train: Examples
    val: Examples
    class_weights: Tensor | None
    start: Mapping[str, Any]
    dataset: Mapping[str, Any] = field(default_factory=dict)

    @property
    def described(self) -> str:
        """The line that stands beside every figure."""
        return self.protocol.describe(self.classes)


def check_recipe(recipe: Recipe) -> None:
    """Refuse before the data is read what cannot work.

    Raises:
        SegfastError: the learning rate would never reach its peak, or own code that does not exist.
    """
    if recipe.warmup_epochs >= recipe.epochs and recipe.warmup_epochs:
        raise SegfastError(
            f"--warmup-epochs {recipe.warmup_epochs} leaves nothing of --epochs {recipe.epochs}: the learning rate"
            " would still be rising at the end. Pass --warmup-epochs 0, or more epochs"
        )
    _check_own_code(recipe)


def _check_own_code(recipe: Recipe) -> None:
    """Import what the recipe names as package.module:function."""
    effects = [
        ("effect", effect.name, "function(frame, labels, generator)") for effect in parse_effects(recipe.effects)
    ]
    losses = [("loss", recipe.loss, "function(logits, targets)"), ("schedule", recipe.schedule, "function(progress)")]
    for kind, name, expected in (*effects, *losses):
        if ":" in name:
            own_function(kind, name, expected)


def read_data(settings: TrainingSettings, world: World, progress: Progress) -> TrainingData:
    """Open both splits and take them into memory if they fit, beside those of this machine's other processes.

    Raises:
        SegfastError: the data is not there or not as it should be.
    """
    source = open_source(settings.data, settings.data_root)
    protocol = Protocol.named(settings.protocol, source.size, settings.size)
    train, val = (protocol.apply(split) for split in training_splits(source))
    train = drawn_fraction(train, settings.recipe.fraction, settings.seed)
    for split in (train, val):
        check_counts(split, protocol.preprocess())
    preprocess = protocol.preprocess()
    augment = augmented(settings.recipe, protocol, train, settings.seed) if settings.recipe.augment else None
    examples = Examples(train, preprocess, augment=augment), Examples(val, preprocess)
    total = len(train) + len(val)
    examples[0].keep(world, lambda done, _: progress(done, total))
    examples[1].keep(world, lambda done, _: progress(len(train) + done, total))
    weighing = settings.recipe.class_weights
    weights = (
        None
        if weighing == "none"
        else balanced_weights(torch.from_numpy(class_shares(train, preprocess)).float(), weighing)
    )
    started: dict[str, Any] = {} if settings.start is None else {"start": _named(settings.start)}
    if settings.pretrained:
        started["pretrained"] = pretrained_of(settings.model).to_json()
    return TrainingData(protocol, train.classes, *examples, weights, started, recorded(source))


def _named(start: Path) -> dict[str, str]:
    if not start.is_file():
        raise DataError(f"no such checkpoint: {start}")
    return {"checkpoint": start.name, "sha256": sha256(start)}


def make_state(settings: TrainingSettings, classes: ClassSet, execution: Execution) -> State:
    """Build the network, from the seed or from ``settings.start``, and its optimiser.

    Raises:
        SegfastError: no such network, or a checkpoint that does not fit it.
    """
    torch.manual_seed(settings.seed)
    module = build(settings.model, len(classes))
    if settings.pretrained:
        start_from_pretrained(settings.model, module)
    if settings.start is not None:
        module.load_state_dict(first_weights(settings.start, settings, module, classes))
    if settings.recipe.fake_int8:
        module = with_fake_int8(module)
    freeze(module, settings.recipe.freeze)
    module = execution.place(module)
    average = Average(module, settings.recipe.ema) if settings.recipe.ema else None
    return State(module, optimiser(settings.recipe, module), execution.scaler(), average)


def make_setup(
    settings: TrainingSettings, material: TrainingData, state: State, *, execution: Execution, world: World
) -> TrainingSetup:
    """Put data, network and device together.

    Raises:
        SegfastError: a batch that cannot be shared evenly, or a teacher of other classes.
    """
    recipe, hardware = settings.recipe, settings.hardware
    batch = min(recipe.batch_size, len(material.train))
    if batch % world.size:
        raise SegfastError(f"--batch-size {batch} cannot be shared by {world.size} processes; choose a multiple")
    order = Order(len(material.train), batch, settings.seed, world)
    load = functools.partial(loader, workers=hardware.workers, cuda=execution.cuda)
    weights = material.class_weights
    return TrainingSetup(
        recipe=recipe,
        seed=settings.seed,
        classes=material.classes,
        execution=execution,
        world=world,
        forward=_forward(state, world, execution, settings, material.protocol),
        normalise=Normalise(material.protocol.preprocess()).to(execution.device),
        order=order,
        batches=load(material.train, order),
        val_batches=load(material.val, in_order(len(material.val), batch, world)),
        class_weights=None if weights is None else weights.to(execution.device),
        teacher=_teacher(settings, material.classes, execution),
    )


def _forward(
    state: State, world: World, execution: Execution, settings: TrainingSettings, protocol: Protocol
) -> nn.Module:
    """Return the network as the loop calls it: shared between processes, compiled if asked for."""
    if world.size > 1 and execution.cuda and not settings.recipe.fake_int8:  # its statistics are frozen
        state.module = nn.SyncBatchNorm.convert_sync_batchnorm(state.module)
    module = wrap(state.module, world, execution.device, (protocol.height, protocol.width))
    if settings.hardware.compile:
        module.compile()
    return module


def _teacher(settings: TrainingSettings, classes: ClassSet, execution: Execution) -> Teacher | None:
    if settings.teacher is None:
        return None
    checkpoint = Checkpoint.load(settings.teacher)
    if checkpoint.classes.names != classes.names:
        raise SegfastError(
            f"teacher {settings.teacher} has {len(checkpoint.classes)} classes"
            f" ({', '.join(checkpoint.classes.names)}); this training has {len(classes)}: {', '.join(classes.names)}"
        )
    module = execution.place(checkpoint.module()).requires_grad_(False)
    return Teacher(module, Normalise(checkpoint.preprocess).to(execution.device))
