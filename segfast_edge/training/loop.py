"""One epoch of training, and one pass over val."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from segfast_edge.contract.classes import ClassSet
from segfast_edge.errors import SegfastError
from segfast_edge.model.normalise import Normalise
from segfast_edge.prediction.metrics import ConfusionMatrix
from segfast_edge.training.batches import Order
from segfast_edge.training.distributed import World, sharing
from segfast_edge.training.execution import Execution
from segfast_edge.training.fitting import advice
from segfast_edge.training.loading import Loader
from segfast_edge.training.losses import Term, distillation, part_counts, terms, to_targets
from segfast_edge.training.non_finite import first_bad_layer
from segfast_edge.training.recipe import Recipe, learning_rate
from segfast_edge.training.state import State, Sums
from segfast_edge.training.weights import set_training, trained


@dataclass(frozen=True, slots=True)
class Teacher:
    """A trained network to learn from, on the device and in evaluation mode."""

    module: nn.Module
    normalise: Normalise


@dataclass(frozen=True, slots=True)
class TrainingSetup:
    """The constant parts of a training. ``forward`` is the network, compiled or shared between processes."""

    recipe: Recipe
    seed: int
    classes: ClassSet
    execution: Execution
    world: World
    forward: nn.Module
    normalise: Normalise
    order: Order
    batches: Loader
    val_batches: Loader
    class_weights: Tensor | None = None
    teacher: Teacher | None = None


@dataclass(frozen=True, slots=True)
class StepProgress:
    """The progress of a training after a step; epochs and steps count from 1, ``loss`` is the epoch's mean so far."""

    epoch: int
    epochs: int
    step: int
    steps: int
    loss: float
    lr: float
    images_per_s: float


Part = tuple[Tensor, Tensor]  # pixels and targets
Weighted = list[tuple[float | Tensor, Term]]
Stop = Callable[[], bool]
OnStep = Callable[[StepProgress], None]


def train_epoch(setup: TrainingSetup, state: State, sums: Sums, *, stop: Stop, report: OnStep) -> bool:
    """Train the rest of the epoch in progress; return False if ``stop`` ended it before its last step.

    Raises:
        SegfastError: the loss is NaN or infinite, a file cannot be read, or memory ran out.
    """
    set_training(state.module, setup.recipe.freeze)
    setup.order.epoch, setup.order.start = state.epoch, state.step
    began, before = time.perf_counter(), sums.seconds
    for images, labels in setup.batches:
        try:
            stopping = _step(setup, state, sums, (images, labels), stop)
        except torch.OutOfMemoryError as error:
            error.__traceback__ = None  # it holds the failed step's frames, and they its memory
            raise SegfastError(_advice(setup, state, (images, labels))) from None
        state.step += 1
        sums.seconds = before + time.perf_counter() - began
        report(_progress(setup, state, sums))
        if stopping and state.step < setup.order.steps:
            return False
    return True


def _progress(setup: TrainingSetup, state: State, sums: Sums) -> StepProgress:
    steps = setup.order.steps
    lr = learning_rate(setup.recipe, state.epoch * steps + state.step - 1, steps)
    rate = sums.images / sums.seconds if sums.seconds else 0.0
    return StepProgress(state.epoch + 1, setup.recipe.epochs, state.step, steps, sums.mean_loss, lr, rate)


def _step(setup: TrainingSetup, state: State, sums: Sums, batch: tuple[Tensor, Tensor], stop: Stop) -> bool:
    """Make one update; return whether any process was asked to stop."""
    done = state.epoch * setup.order.steps + state.step
    # dropout, too, is a function of seed and step, so that no generator's state has to be kept
    torch.manual_seed((setup.seed * 1_000_003 + done) * setup.world.size + setup.world.rank)
    for group in state.optimiser.param_groups:
        group["lr"] = learning_rate(setup.recipe, done, setup.order.steps) * group["share"]
    pixels, targets = _on_device(setup, batch)
    state.optimiser.zero_grad(set_to_none=True)
    parts = list(zip(pixels.chunk(setup.recipe.accumulate), targets.chunk(setup.recipe.accumulate), strict=True))
    whole, stopping = 0.0, False
    for number, (part, shares) in enumerate(zip(parts, _part_shares(setup, parts), strict=True), 1):
        with sharing(setup.forward, last=number == len(parts)):
            weighted = _terms(setup, part, shares)
            loss, value, stopping = _global_mean(setup.world, weighted, number == len(parts) and stop())
            _check_finite(setup, state, part[0], value)
            state.scaler.scale(loss).backward()
        whole += value
    _update(setup, state, done)
    images = batch[0].shape[0] * setup.world.size
    sums.loss += whole * images
    sums.images += images
    return stopping


def _on_device(setup: TrainingSetup, batch: tuple[Tensor, Tensor]) -> Part:
    device = setup.execution.device
    pixels = batch[0].to(device, non_blocking=True).permute(0, 3, 1, 2)  # NHWC in memory: channels_last
    return pixels, to_targets(batch[1].to(device, non_blocking=True), setup.classes.ignored)


def _advice(setup: TrainingSetup, state: State, batch: tuple[Tensor, Tensor]) -> str:
    """Find out how many frames at once fit; the training ends anyway, so the network may change."""
    alone = replace(setup, world=World(), forward=state.module)

    def attempt(count: int) -> None:
        state.optimiser.zero_grad(set_to_none=True)
        weighted = _terms(alone, _on_device(setup, (batch[0][:count], batch[1][:count])), torch.ones(3))
        _global_mean(alone.world, weighted, stop=False)[0].backward()

    return advice(len(batch[0]), setup.recipe.accumulate, attempt)


def _part_shares(setup: TrainingSetup, parts: Sequence[Part]) -> Tensor:
    """Return what part of the whole step's mean each part makes up, for every term of the loss: parts x terms.

    So the gradients of the parts add up to those of the step in one piece, however many pixels of each count.
    """
    if len(parts) == 1:
        return torch.ones(1, 3)
    counts = []
    for pixels, targets in parts:
        found = part_counts(setup.recipe.loss, targets, setup.class_weights)
        counts.append(torch.stack([*found, found[0].new_tensor(float(pixels.shape[0]))]))  # the last is the teacher's
    whole = setup.world.sum(torch.stack(counts))
    return whole / whole.sum(0).clamp(min=1e-12)


def _terms(setup: TrainingSetup, part: Part, shares: Tensor) -> Weighted:
    """Return the terms of the loss on a part of a batch, and the weight of each."""
    pixels, targets = part
    with setup.execution.autocast():
        logits = setup.forward(setup.normalise(pixels))
    found: Weighted = [
        (share, term)
        for term, share in zip(terms(setup.recipe.loss, logits, targets, setup.class_weights), shares, strict=False)
    ]
    if setup.teacher is not None:
        found.append((setup.recipe.distill * shares[-1], _taught(setup, setup.teacher, logits, pixels)))
    return found


def _check_finite(setup: TrainingSetup, state: State, pixels: Tensor, value: float) -> None:
    if math.isfinite(value):
        return
    with setup.execution.autocast():
        where = first_bad_layer(state.module, setup.normalise(pixels))
    raise SegfastError(
        f"the loss became {value} in epoch {state.epoch + 1}, step {state.step + 1}: {where}."
        " The last good state is kept; continue with --resume and a lower --lr, or --clip 1"
    )


def _taught(setup: TrainingSetup, teacher: Teacher, logits: Tensor, pixels: Tensor) -> Term:
    with torch.no_grad(), setup.execution.autocast():
        target = teacher.module(teacher.normalise(pixels))
    return distillation(logits, target)


def _global_mean(world: World, weighted: Weighted, stop: bool) -> tuple[Tensor, float, bool]:
    """Return the loss to differentiate here, its value over all processes, and whether any of them should stop.

    DistributedDataParallel averages gradients over processes, hence the factor ``world.size``.
    """
    totals = torch.stack([weight * term.total for weight, term in weighted])
    shared = torch.cat((torch.stack([term.count for _, term in weighted]), totals.detach(), totals.new_tensor([stop])))
    world.sum(shared)
    counts, sums = shared[: len(weighted)].clamp(min=1e-12), shared[len(weighted) : -1]
    return (totals / counts).sum() * world.size, float((sums / counts).sum()), bool(shared[-1] > 0)


def _update(setup: TrainingSetup, state: State, done: int) -> None:
    if setup.recipe.clip:
        state.scaler.unscale_(state.optimiser)
        nn.utils.clip_grad_norm_(trained(state.module), setup.recipe.clip)
    state.scaler.step(state.optimiser)
    state.scaler.update()
    if state.average is not None:
        state.average.update(state.module, done + 1)


@torch.no_grad()
def validate(setup: TrainingSetup, module: nn.Module, *, stop: Stop) -> ConfusionMatrix | None:
    """Return the confusion matrix on val at the network's size, in float32; None if ``stop`` ended it."""
    setup.world.same_buffers(module)
    module.eval()
    matrix = ConfusionMatrix(setup.classes)
    for images, labels in setup.val_batches:
        if setup.world.size == 1 and stop():
            return None
        pixels = images.to(setup.execution.device, non_blocking=True).permute(0, 3, 1, 2)
        predicted = module(setup.normalise(pixels)).argmax(1).to(torch.uint8).cpu()
        matrix.update(labels.numpy(), predicted.numpy())
    counts = torch.from_numpy(matrix.counts).to(setup.execution.device)
    return ConfusionMatrix(setup.classes, setup.world.sum(counts).cpu().numpy())
