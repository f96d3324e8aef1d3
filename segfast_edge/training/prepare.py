"""From settings to everything a training needs: data in memory, the network on its device, its optimiser."""

import functools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.data import Dataset, Protocol, native_size, open_dataset
from segfast_edge.data.augmentation import Augmentation
from segfast_edge.data.protocol import padding_label
from segfast_edge.errors import DataError, SegfastError
from segfast_edge.model import build
from segfast_edge.model.checkpoint import Checkpoint
from segfast_edge.model.normalise import Normalise
from segfast_edge.training.batches import Examples, Order, Progress, in_order, loader
from segfast_edge.training.distributed import World, wrap
from segfast_edge.training.ema import Average
from segfast_edge.training.execution import Execution
from segfast_edge.training.loop import Teacher, Work
from segfast_edge.training.losses import balanced_weights
from segfast_edge.training.settings import Settings
from segfast_edge.training.state import State, optimiser


@dataclass(frozen=True, slots=True)
class Material:
    """The data of a training: both splits, and how they are counted."""

    protocol: Protocol
    classes: ClassSet
    train: Examples
    val: Examples
    class_weights: Tensor | None

    @property
    def described(self) -> str:
        """The line that stands beside every figure."""
        return self.protocol.describe(self.classes)


def read_data(settings: Settings, world: World, progress: Progress) -> Material:
    """Open both splits and take them into memory where they fit, beside those of this machine's other processes.

    Raises:
        SegfastError: the data is not there or not as it should be.
    """
    protocol = Protocol.named(settings.protocol, native_size(settings.data, settings.data_root), settings.size)
    train, val = (open_dataset(settings.data, settings.data_root, s, protocol) for s in ("train", "val"))
    for split in (train, val):
        if len(split) == 0:
            raise DataError(f"{split.name} has no frame in its {split.split} split")
    augment = None
    if settings.recipe.augment:
        augment = Augmentation((protocol.height, protocol.width), padding_label(train.classes)).apply
    preprocess = protocol.preprocess()
    examples = Examples(train, preprocess, augment=augment, seed=settings.seed), Examples(val, preprocess)
    total = len(train) + len(val)
    examples[0].keep(world, lambda done, _: progress(done, total))
    examples[1].keep(world, lambda done, _: progress(len(train) + done, total))
    weights = balanced_weights(_shares(train, protocol.preprocess())) if settings.recipe.class_weights else None
    return Material(protocol, train.classes, *examples, weights)


def _shares(dataset: Dataset, preprocess: Preprocess) -> Tensor:
    """Return each class's share of the counted pixels, in label order."""
    counts = np.zeros(256, np.int64)
    for index in range(len(dataset)):
        counts += np.bincount(preprocess.labels(dataset[index].labels).ravel(), minlength=256)
    counted = counts[: len(dataset.classes)]
    return torch.from_numpy(counted / max(1, counted.sum())).float()


def make_state(settings: Settings, classes: ClassSet, execution: Execution) -> State:
    """Build the network, from the seed or from ``settings.start``, and its optimiser.

    Raises:
        SegfastError: no such network, or a checkpoint that does not fit it.
    """
    torch.manual_seed(settings.seed)
    module = build(settings.model, len(classes))
    if settings.start is not None:
        module.load_state_dict(_fitting(settings, classes).weights)
    module = execution.place(module)
    average = Average(module, settings.recipe.ema) if settings.recipe.ema else None
    return State(module, optimiser(settings.recipe, module), execution.scaler(), average)


def _fitting(settings: Settings, classes: ClassSet) -> Checkpoint:
    assert settings.start is not None
    checkpoint = Checkpoint.load(settings.start)
    if checkpoint.network != settings.model or len(checkpoint.classes) != len(classes):
        raise SegfastError(
            f"{settings.start} holds {checkpoint.network} with {len(checkpoint.classes)} classes;"
            f" this training is of {settings.model} with {len(classes)}"
        )
    checkpoint.module()
    return checkpoint


def make_work(settings: Settings, material: Material, state: State, *, execution: Execution, world: World) -> Work:
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
    return Work(
        recipe=recipe,
        seed=settings.seed,
        classes=material.classes,
        execution=execution,
        world=world,
        forward=_forward(state, world, execution, compiled=hardware.compile),
        normalise=Normalise(material.protocol.preprocess()).to(execution.device),
        order=order,
        batches=load(material.train, order),
        val_batches=load(material.val, in_order(len(material.val), batch, world)),
        class_weights=None if weights is None else weights.to(execution.device),
        teacher=_teacher(settings, material.classes, execution),
    )


def _forward(state: State, world: World, execution: Execution, *, compiled: bool) -> nn.Module:
    """Return the network as the loop calls it: shared between processes, compiled where asked."""
    if world.size > 1 and execution.cuda:
        state.module = nn.SyncBatchNorm.convert_sync_batchnorm(state.module)
    module = wrap(state.module, world, execution.device)
    if compiled:
        module.compile()
    return module


def _teacher(settings: Settings, classes: ClassSet, execution: Execution) -> Teacher | None:
    if settings.teacher is None:
        return None
    checkpoint = Checkpoint.load(settings.teacher)
    if checkpoint.classes.names != classes.names:
        raise SegfastError(
            f"teacher {settings.teacher} tells {len(checkpoint.classes)} classes apart"
            f" ({', '.join(checkpoint.classes.names)}); this training has {len(classes)}: {', '.join(classes.names)}"
        )
    module = execution.place(checkpoint.module()).requires_grad_(False)
    return Teacher(module, Normalise(checkpoint.preprocess).to(execution.device))
