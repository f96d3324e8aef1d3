"""The output of a training: bars on a terminal, plain lines in a log."""

import sys
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from segfast_edge.cli import _progress
from segfast_edge.prediction.metrics import summary
from segfast_edge.training.loop import StepProgress as Step


def epoch_line(record: dict[str, Any]) -> str:
    """Return one complete epoch in one line."""
    mark = " (best)" if record["best_epoch"] == record["epoch"] else ""
    val = "" if record["val"] is None else f" val {summary(record['val'])}{mark},"
    return (
        f"epoch {record['epoch']}: loss {record['loss']:.4f},{val}"
        f" {record['images_per_s']} img/s, {record['seconds'] + record['val_seconds']:.1f} s"
    )


class Silent:
    """Shows nothing."""

    def __enter__(self) -> "Silent":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def reading(self, done: int, total: int) -> None:
        """Show nothing."""

    def stepped(self, progress: Step) -> None:
        """Show nothing."""

    def validated(self, record: dict[str, Any]) -> None:
        """Show nothing."""


class Lines(Silent):
    """One line per epoch, and one every ten seconds within it."""

    def __init__(self) -> None:
        self._reading, self._steps = _progress.Lines("reading"), _progress.Lines("training")

    def reading(self, done: int, total: int) -> None:
        """Say now and then how many frames have been read."""
        self._reading.told(done, total)

    def stepped(self, progress: Step) -> None:
        """Say now and then where the training is, and how long it will take."""
        self._steps.told((progress.epoch - 1) * progress.steps + progress.step, progress.epochs * progress.steps)

    def validated(self, record: dict[str, Any]) -> None:
        """Print the epoch's line at once, so that a log can be followed."""
        print(epoch_line(record), file=sys.stderr, flush=True)


class Bars(Silent):
    """A bar for the epochs, one for the epoch's steps, and a line for every complete epoch."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bars = Progress(
            TextColumn("{task.description:8}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=self._console,
        )
        self._tasks: dict[str, Any] = {}

    def __enter__(self) -> "Bars":
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def _show(self, name: str, done: int, total: int, note: str = "") -> None:
        if name not in self._tasks:
            self._tasks[name] = self._bars.add_task(name, total=total, note=note)
        self._bars.update(self._tasks[name], completed=done, total=total, note=note)

    def reading(self, done: int, total: int) -> None:
        """Show how many frames have been read."""
        self._show("reading", done, total)

    def stepped(self, progress: Step) -> None:
        """Show the progress of the training."""
        if "reading" in self._tasks:
            self._bars.remove_task(self._tasks.pop("reading"))
        note = f"loss {progress.loss:.4f}  lr {progress.lr:.2e}  {progress.images_per_s:.1f} img/s"
        self._show("epochs", progress.epoch - 1, progress.epochs)
        self._show("steps", progress.step, progress.steps, note)

    def validated(self, record: dict[str, Any]) -> None:
        """Leave the epoch's line above the bars."""
        self._console.print(epoch_line(record), highlight=False)
        done = self._tasks["epochs"]
        self._bars.update(done, completed=record["epoch"])
