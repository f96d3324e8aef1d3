"""From settings to everything a training needs: data in memory, the network on its device, its optimiser."""

import functools
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from segfast_edge.contract.classes import ClassSet, find_name
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
from segfast_edge.training.batches import Examples, Order, in_order, loader
from segfast_edge.training.distributed import World, wrap
from segfast_edge.training.ema import Average
from segfast_edge.training.execution import Execution
from segfast_edge.training.loop import Teacher, TrainingSetup
from segfast_edge.training.losses import balanced_weights
from segfast_edge.training.recipe import Recipe
from segfast_edge.training.settings import TrainingSettings
from segfast_edge.training.state import State
from segfast_edge.training.weights import freeze, optimiser

_log = logging.getLogger(__name__)


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


def check_own_code(recipe: Recipe) -> None:
    """Import what the recipe names as package.module:function.

    Raises:
        SegfastError: one of them does not exist.
    """
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
    check_own_code(settings.recipe)
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
        module.load_state_dict(_first_weights(settings.start, settings.model, module, classes))
    if settings.recipe.fake_int8:
        module = with_fake_int8(module)
    freeze(module, settings.recipe.freeze)
    module = execution.place(module)
    average = Average(module, settings.recipe.ema) if settings.recipe.ema else None
    return State(module, optimiser(settings.recipe, module), execution.scaler(), average)


def _first_weights(path: Path, network: str, module: nn.Module, classes: ClassSet) -> dict[str, Tensor]:
    """Return the checkpoint's weights for ``module``; classes of the same name keep theirs, others those drawn.

    Names may differ in case, as in Sky and sky; a log line has those that matched nothing.

    Raises:
        SegfastError: the checkpoint is of another network, or of no class of this training.
    """
    checkpoint = Checkpoint.load(path)
    if checkpoint.network != network:
        raise SegfastError(f"{path} holds {checkpoint.network}; this training is of {network}")
    before = checkpoint.classes.names
    if before == classes.names:
        return checkpoint.module().state_dict()
    places = [find_name(name, before) for name in classes.names]
    pairs = [(row, place) for row, place in enumerate(places) if place is not None]
    if not pairs:
        raise SegfastError(
            f"{path} has none of this training's classes ({', '.join(classes.names)}); its own are {', '.join(before)}"
        )
    _tell_unmatched(path, classes.names, before, places)
    rows, rows_before = (list(column) for column in zip(*pairs, strict=True))
    drawn, weights = module.state_dict(), checkpoint.module().state_dict()
    other = build(network, len(before) + 1).state_dict()
    for key, value in weights.items():
        if other[key].shape != value.shape:  # it has a row per class
            weights[key] = drawn[key].clone()
            weights[key][rows] = value[rows_before]
    return weights


def _tell_unmatched(path: Path, names: Sequence[str], before: Sequence[str], places: Sequence[int | None]) -> None:
    new = [name for name, place in zip(names, places, strict=True) if place is None]
    dropped = [name for place, name in enumerate(before) if place not in places]
    if new or dropped:
        _log.warning(
            "%s: %d of %d classes matched by name; start at random: %s; left out: %s",
            path, len(names) - len(new), len(names), ", ".join(new) or "none", ", ".join(dropped) or "none",
        )  # fmt: skip


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
        forward=_forward(state, world, execution, settings),
        normalise=Normalise(material.protocol.preprocess()).to(execution.device),
        order=order,
        batches=load(material.train, order),
        val_batches=load(material.val, in_order(len(material.val), batch, world)),
        class_weights=None if weights is None else weights.to(execution.device),
        teacher=_teacher(settings, material.classes, execution),
    )


def _forward(state: State, world: World, execution: Execution, settings: TrainingSettings) -> nn.Module:
    """Return the network as the loop calls it: shared between processes, compiled if asked for."""
    if world.size > 1 and execution.cuda and not settings.recipe.fake_int8:  # its statistics are frozen
        state.module = nn.SyncBatchNorm.convert_sync_batchnorm(state.module)
    module = wrap(state.module, world, execution.device)
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
