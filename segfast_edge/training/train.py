"""Train a network: the loop over epochs, with validation, early stopping, and a state to continue from."""

import math
import time
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Protocol

import torch

from segfast_edge.contract.shared.allocator import keep_freed_memory
from segfast_edge.model.torch_device import device_for
from segfast_edge.prediction.metrics import ConfusionMatrix
from segfast_edge.training import curves
from segfast_edge.training.best_checkpoint import checkpoint, versions
from segfast_edge.training.distributed import World, joined
from segfast_edge.training.event_log import EventLog, Logger, own_logger
from segfast_edge.training.execution import execution
from segfast_edge.training.interruption import Interruption
from segfast_edge.training.loop import StepProgress, TrainingSetup, train_epoch, validate
from segfast_edge.training.prepare import TrainingData, check_recipe, make_setup, make_state, read_data
from segfast_edge.training.recipe import learning_rate
from segfast_edge.training.run_folder import RunFolder
from segfast_edge.training.settings import TrainingSettings
from segfast_edge.training.state import State, Sums

Ending = Literal["finished", "stopped early", "interrupted", "out of time"]
SAVE_EVERY_S = 600.0  # within a long epoch
DRAW_EVERY = 5  # epochs; drawing takes a third of a second


class Observer(Protocol):
    """Receives the progress of a training; only the leading process reports it."""

    def reading(self, done: int, total: int) -> None:
        """So many of the frames have been read."""

    def stepped(self, progress: StepProgress) -> None:
        """A step was made."""

    def validated(self, record: dict[str, Any]) -> None:
        """An epoch is complete; ``record`` is its line in ``metrics.jsonl``."""


class Silent:
    """An observer that shows nothing."""

    def reading(self, done: int, total: int) -> None:
        """Show nothing."""

    def stepped(self, progress: StepProgress) -> None:
        """Show nothing."""

    def validated(self, record: dict[str, Any]) -> None:
        """Show nothing."""


@dataclass(frozen=True, slots=True)
class Start:
    """How to begin: in a new folder, in one that holds a training (``overwrite``), or where it stopped (``resume``)."""

    resume: bool = False
    overwrite: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """The end of a training: its reason, number of epochs, and best mIoU on val (-1 if no epoch was completed)."""

    ending: Ending
    epochs: int
    best_epoch: int
    best_miou: float
    protocol: str


@dataclass(slots=True)
class _Run:
    """A training in progress."""

    settings: TrainingSettings
    folder: RunFolder
    material: TrainingData
    setup: TrainingSetup
    state: State
    observer: Observer
    sums: Sums
    loggers: list[Logger] = field(default_factory=list)
    saved_at: float = 0.0
    deadline: float = float("inf")  # of time.monotonic()

    @property
    def leads(self) -> bool:
        return self.setup.world.leads

    def save(self) -> None:
        if self.leads:
            self.state.save(self.folder.last, self.sums)
        self.saved_at = time.monotonic()


def train(settings: TrainingSettings, folder: RunFolder, observer: Observer, *, start: Start) -> Outcome:
    """Train until the recipe's end, early stopping, the time limit, or SIGINT or SIGTERM.

    The limit and the signals end it after the step in progress; it then saves its state.

    A training that was interrupted and resumed gives the same weights as one that was not, on the same hardware. On a
    CPU this process keeps the memory that it frees from then on.

    Raises:
        SegfastError: anything wrong with settings, data or folder; or a loss that is not finite.
    """
    began = time.monotonic()
    check_recipe(settings.recipe)
    device = device_for(settings.hardware.device)
    if device.type == "cpu":
        keep_freed_memory()
    if not start.resume:
        folder.check_free(overwrite=start.overwrite)
    with joined(device.type) as world:
        run = _prepare(settings, folder, observer, world)
        _begin(run, start)
        if settings.hardware.max_hours is not None:
            run.deadline = began + 3600 * settings.hardware.max_hours
        try:
            with Interruption() as interruption:
                ending = _epochs(run, interruption)
        finally:
            for logger in run.loggers:
                logger.close()
            for loader in (run.setup.batches, run.setup.val_batches):
                loader.close()
        if world.leads:
            curves.draw(folder.history(), folder.curves)
    state = run.state
    return Outcome(ending, state.epoch, state.best_epoch, state.best_miou, run.material.described)


def _prepare(settings: TrainingSettings, folder: RunFolder, observer: Observer, world: World) -> _Run:
    hardware = settings.hardware
    if settings.recipe.fake_int8 and hardware.precision == "auto":
        hardware = replace(hardware, precision="fp32")  # bf16 has fewer steps than int8 in the upper half of a range
    run_on = execution(hardware, world.local_rank)
    torch.use_deterministic_algorithms(settings.hardware.deterministic, warn_only=True)
    torch.backends.cudnn.benchmark = not settings.hardware.deterministic
    material = read_data(settings, world, observer.reading if world.leads else lambda _, __: None)
    state = make_state(settings, material.classes, run_on)
    setup = make_setup(settings, material, state, execution=run_on, world=world)
    return _Run(settings, folder, material, setup, state, observer, Sums())


def _begin(run: _Run, start: Start) -> None:
    """Continue from the folder's state, or make the folder ready and write the first one."""
    if start.resume:
        run.sums = run.state.load(run.folder.last)
    if run.leads:
        if start.resume:
            run.folder.rewind(run.state.epoch)
            run.folder.write_config(_config(run))
        else:
            run.folder.begin(_config(run), overwrite=start.overwrite)
            run.save()
        run.loggers = _loggers(run)
    run.saved_at = time.monotonic()
    run.setup.world.barrier()


def _loggers(run: _Run) -> list[Logger]:
    hardware, epoch = run.settings.hardware, run.state.epoch
    found: list[Logger] = [own_logger(name, run.folder.path, _config(run), epoch) for name in hardware.loggers]
    return [*found, EventLog(run.folder.path / "tensorboard", epoch)] if hardware.tensorboard else found


def _config(run: _Run) -> dict[str, Any]:
    """Return what config.json holds: the settings, and on what they ran."""
    return {
        **run.settings.to_json(),
        **({"dataset": run.material.dataset} if run.material.dataset else {}),
        "described": run.material.described,
        "ran_on": {**versions(run.setup.execution), "processes": run.setup.world.size},
    }


def _epochs(run: _Run, interruption: Interruption) -> Ending:
    recipe, state = run.setup.recipe, run.state
    while state.epoch < recipe.epochs:
        if recipe.patience and state.epoch - state.best_epoch >= recipe.patience:
            return "stopped early"

        def stop() -> bool:
            return interruption.requested() or time.monotonic() > run.deadline

        done = train_epoch(run.setup, state, run.sums, stop=stop, report=lambda progress: _after_step(run, progress))
        matrix, began = None, time.perf_counter()
        if done and (state.epoch + 1 == recipe.epochs or (state.epoch + 1) % recipe.val_every == 0):
            matrix = validate(run.setup, state.evaluated, stop=stop)
            done = matrix is not None
        if not done:
            run.save()
            late = time.monotonic() > run.deadline and not interruption.requested()
            return "out of time" if late else "interrupted"
        _complete(run, matrix, time.perf_counter() - began)
    return "finished"


def _after_step(run: _Run, progress: StepProgress) -> None:
    if run.leads:
        run.observer.stepped(progress)
    if time.monotonic() - run.saved_at > SAVE_EVERY_S:
        run.save()


def _complete(run: _Run, matrix: ConfusionMatrix | None, val_seconds: float) -> None:
    """Close an epoch: the record, the best checkpoint, the state; ``matrix`` is None if val was not looked at."""
    state, sums = run.state, run.sums
    state.epoch, state.step = state.epoch + 1, 0
    state.elapsed_s += sums.seconds + val_seconds
    miou = -1.0 if matrix is None or math.isnan(matrix.miou) else matrix.miou
    better = miou > state.best_miou
    if better:
        state.best_miou, state.best_epoch = miou, state.epoch
    record = _record(run, matrix, val_seconds)
    run.sums = Sums()
    if not run.leads:
        return
    if better:
        best = checkpoint(run.settings, run.material, state, record=record, run_on=run.setup.execution)
        best.save(run.folder.best)
    run.folder.append(record)  # before the state: continuing forgets a record that no state was written for
    run.save()
    for logger in run.loggers:
        logger.write(record)
    if state.epoch % DRAW_EVERY == 0:
        curves.draw(run.folder.history(), run.folder.curves)
    run.observer.validated(record)


def _record(run: _Run, matrix: ConfusionMatrix | None, val_seconds: float) -> dict[str, Any]:
    """Return the line in ``metrics.jsonl`` of the epoch that was just completed."""
    state, sums, steps = run.state, run.sums, run.setup.order.steps
    return {
        "epoch": state.epoch,
        "step": state.epoch * steps,
        "lr": learning_rate(run.setup.recipe, state.epoch * steps - 1, steps),
        "loss": round(sums.mean_loss, 6),
        "val": None if matrix is None else matrix.to_json(),
        "best_epoch": state.best_epoch,
        "seconds": round(sums.seconds, 2),
        "val_seconds": round(val_seconds, 2),
        "elapsed_s": round(state.elapsed_s, 1),
        "images_per_s": round(sums.images / sums.seconds, 2) if sums.seconds else None,
        "protocol": run.material.described,
    }
