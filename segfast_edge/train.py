"""Train a network: the loop over epochs, with validation, early stopping, and a state to continue from."""

import math
import platform
import time
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import torch

import segfast_edge
from segfast_edge.metrics import ConfusionMatrix
from segfast_edge.model.checkpoint import Checkpoint
from segfast_edge.training import curves
from segfast_edge.training.distributed import World, joined
from segfast_edge.training.execution import Execution, device_for, execution
from segfast_edge.training.interruption import Interruption
from segfast_edge.training.loop import Progress, Work, train_epoch, validate
from segfast_edge.training.prepare import Material, make_state, make_work, read_data
from segfast_edge.training.recipe import learning_rate
from segfast_edge.training.run_folder import RunFolder
from segfast_edge.training.settings import Settings
from segfast_edge.training.state import State, Sums

Ending = Literal["finished", "stopped early", "interrupted"]
SAVE_EVERY_S = 600.0  # within a long epoch
DRAW_EVERY = 5  # epochs; drawing takes a third of a second


class Observer(Protocol):
    """Who is told how a training goes; only the leading process tells."""

    def reading(self, done: int, total: int) -> None:
        """So many of the frames have been read."""

    def stepped(self, progress: Progress) -> None:
        """A step was made."""

    def validated(self, record: dict[str, Any]) -> None:
        """An epoch is complete; ``record`` is its line in ``metrics.jsonl``."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a training ended, after how many epochs, and its best mIoU on val (-1 where no epoch was completed)."""

    ending: Ending
    epochs: int
    best_epoch: int
    best_miou: float
    protocol: str


@dataclass(slots=True)
class _Run:
    """A training in progress."""

    settings: Settings
    folder: RunFolder
    material: Material
    work: Work
    state: State
    sums: Sums
    observer: Observer
    saved_at: float = 0.0

    def save(self) -> None:
        if self.work.world.leads:
            self.state.save(self.folder.last, self.sums)
        self.saved_at = time.monotonic()


def train(
    settings: Settings, folder: RunFolder, observer: Observer, *, resume: bool = False, overwrite: bool = False
) -> Outcome:
    """Train until the recipe's end, early stopping, or SIGINT or SIGTERM, which end it after the step in progress.

    A training that was interrupted and resumed gives the same weights as one that was not, on the same hardware.

    Raises:
        SegfastError: anything wrong with settings, data or folder; or a loss that is not finite.
    """
    device = device_for(settings.hardware.device)
    if not resume:
        folder.check_free(overwrite=overwrite)
    with joined(device.type) as world:
        run_on = execution(settings.hardware, world.local_rank)
        torch.use_deterministic_algorithms(settings.hardware.deterministic, warn_only=True)
        material = read_data(settings, observer.reading if world.leads else _silent)
        state = make_state(settings, material.classes, run_on)
        work = make_work(settings, material, state, execution=run_on, world=world)
        run = _Run(settings, folder, material, work, state, Sums(), observer)
        _begin(run, resume=resume, overwrite=overwrite)
        with Interruption() as interruption:
            ending = _epochs(run, interruption)
        if world.leads:
            curves.draw(folder.history(), folder.curves)
        return Outcome(ending, state.epoch, state.best_epoch, state.best_miou, material.described)


def _silent(_: int, __: int) -> None:
    """Report nothing."""


def _begin(run: _Run, *, resume: bool, overwrite: bool) -> None:
    """Continue from the folder's state, or make the folder ready and write the first one."""
    world = run.work.world
    if resume:
        run.sums = run.state.load(run.folder.last)
        if world.leads:
            run.folder.rewind(run.state.epoch)
            run.folder.write_config(_config(run))
    elif world.leads:
        run.folder.begin(_config(run), overwrite=overwrite)
        run.save()
    world.barrier()


def _config(run: _Run) -> dict[str, Any]:
    """Return what config.json holds: the settings, and on what they ran."""
    return {
        **run.settings.to_json(),
        "described": run.material.described,
        "ran_on": {**versions(run.work.execution), "processes": run.work.world.size},
    }


def versions(run_on: Execution) -> dict[str, Any]:
    """Return what a result may depend on besides the settings."""
    name = torch.cuda.get_device_name(run_on.device) if run_on.cuda else platform.processor() or platform.machine()
    return {
        "segfast_edge": segfast_edge.__version__,
        "torch": str(torch.__version__),
        "device": run_on.device.type,
        "device_name": name,
        "precision": run_on.precision,
        "threads": torch.get_num_threads(),
    }


def _epochs(run: _Run, interruption: Interruption) -> Ending:
    recipe, state = run.work.recipe, run.state
    while state.epoch < recipe.epochs:
        if recipe.patience and state.epoch - state.best_epoch >= recipe.patience:
            return "stopped early"
        if not train_epoch(
            run.work, state, run.sums, stop=interruption.requested, report=lambda p: _after_step(run, p)
        ):
            run.save()
            return "interrupted"
        began = time.perf_counter()
        matrix = validate(run.work, state.evaluated, stop=interruption.requested)
        if matrix is None:
            run.save()
            return "interrupted"
        _complete(run, matrix, time.perf_counter() - began)
        if interruption.requested() and run.work.world.size == 1 and state.epoch < recipe.epochs:
            return "interrupted"
    return "finished"


def _after_step(run: _Run, progress: Progress) -> None:
    if run.work.world.leads:
        run.observer.stepped(progress)
    if time.monotonic() - run.saved_at > SAVE_EVERY_S:
        run.save()


def _complete(run: _Run, matrix: ConfusionMatrix, val_seconds: float) -> None:
    """Close an epoch: the record, the best checkpoint, the state."""
    state, sums = run.state, run.sums
    steps = run.work.order.steps
    lr = learning_rate(run.work.recipe, state.epoch * steps + steps - 1, steps)
    state.epoch, state.step = state.epoch + 1, 0
    state.elapsed_s += sums.seconds + val_seconds
    miou = -1.0 if math.isnan(matrix.miou) else matrix.miou
    better = miou > state.best_miou
    if better:
        state.best_miou, state.best_epoch = miou, state.epoch
    record = {
        "epoch": state.epoch,
        "step": state.epoch * steps,
        "lr": lr,
        "loss": round(sums.mean_loss, 6),
        "val": matrix.to_json(),
        "best_epoch": state.best_epoch,
        "seconds": round(sums.seconds, 2),
        "val_seconds": round(val_seconds, 2),
        "elapsed_s": round(state.elapsed_s, 1),
        "images_per_s": round(sums.images / sums.seconds, 2) if sums.seconds else None,
        "protocol": run.material.described,
    }
    run.sums = Sums()
    if run.work.world.leads:
        if better:
            checkpoint(run.settings, run.material, state, record, run.work.execution).save(run.folder.best)
        run.folder.append(record)  # before the state: continuing forgets a record that no state was written for
        run.save()
        if state.epoch % DRAW_EVERY == 0 or state.epoch == 1:
            curves.draw(run.folder.history(), run.folder.curves)
        run.observer.validated(record)


def checkpoint(
    settings: Settings, material: Material, state: State, record: dict[str, Any], run_on: Execution
) -> Checkpoint:
    """Return the weights that were just validated, with all that is known of them."""
    weights = {name: value.detach().cpu().contiguous() for name, value in state.evaluated.state_dict().items()}
    provenance = {
        "data": settings.data,
        "split": "train, chosen on val",
        "recipe": settings.recipe.to_json(),
        "seed": settings.seed,
        "epoch": record["epoch"],
        "val": record["val"],
        "versions": versions(run_on),
    }
    preprocess = material.protocol.preprocess()
    return Checkpoint(settings.model, material.classes, preprocess, material.described, weights, provenance)


__all__ = ["Observer", "Outcome", "World", "checkpoint", "train"]
