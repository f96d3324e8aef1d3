"""Batches from loading processes, and one line on what went wrong with them."""

import os
import shutil
import signal
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils import data

from segfast_edge.errors import DataError, SegfastError
from segfast_edge.training.batches import Examples, Key, Order

Batch = tuple[Tensor, Tensor]
_SHARED = Path("/dev/shm")  # noqa: S108 - where Linux keeps what processes share; other systems have no such limit
_AHEAD = 3  # batches per process: two that wait, as DataLoader keeps them, and the one that is being made
_GO_ON = "Your training is saved; continue with --resume"


@dataclass(frozen=True, slots=True)
class _Failure:
    """An error that happened in a loading process; DataLoader would put its whole traceback into the message."""

    error: SegfastError


@dataclass(frozen=True, slots=True)
class _Guarded(data.Dataset["Batch | _Failure"]):
    """Examples, or the error instead of one."""

    examples: Examples

    def __getitem__(self, key: Key) -> "Batch | _Failure":
        try:
            return self.examples[key]
        except SegfastError as error:
            return _Failure(error)


def _collated(items: Sequence["Batch | _Failure"]) -> "Batch | _Failure":
    failed = next((item for item in items if isinstance(item, _Failure)), None)
    if failed is not None:
        return failed
    images, labels = data.default_collate(list(items))
    return images, labels


@dataclass(frozen=True, slots=True)
class Loader:
    """Gives uint8 batches, N x H x W x 3 and N x H x W, in pinned memory for CUDA."""

    inner: "data.DataLoader[Batch | _Failure]"

    def __iter__(self) -> Iterator[Batch]:
        batches = _started(self.inner)
        while True:
            try:
                batch = next(batches)
            except StopIteration:
                return
            except RuntimeError as error:
                raise self._explained(error) from error
            if isinstance(batch, _Failure):
                raise DataError(f"{batch.error}. Repair the file. {_GO_ON}") from batch.error
            yield batch

    def close(self) -> None:
        """End the loading processes, which otherwise live as long as anything refers to them, such as an error."""
        started: Any = getattr(self.inner, "_iterator", None)  # torch has no public way
        if started is not None and hasattr(started, "_shutdown_workers"):
            started._shutdown_workers()

    def _explained(self, error: RuntimeError) -> Exception:
        """Return what a loading process died of, by its exit status; the error itself if none has died."""
        workers = getattr(getattr(self.inner, "_iterator", None), "_workers", ())
        died = [worker for worker in workers if worker.exitcode]
        if not died:
            return error
        number = died[0].exitcode
        how = f"signal {signal.Signals(-number).name}" if number < 0 else f"status {number}"
        said = f"loading process {died[0].pid} ended with {how}"
        if number == -signal.SIGBUS:
            return SegfastError(
                f"{said}: {_SHARED} is full. Give the container more (docker run --shm-size 1g). {_GO_ON}"
            )
        if number == -signal.SIGKILL:
            said += ": it was killed, usually because memory ran out"
        return SegfastError(f"{said}. {_GO_ON} and fewer processes, such as --num-workers 1")


def _started(inner: "data.DataLoader[Batch | _Failure]") -> "Iterator[Batch | _Failure]":
    """Start the loading processes without the handler that torch installs for the death of one.

    It raises wherever the main thread happens to be. DataLoader also looks itself, within 5 seconds and while it waits.
    """
    if threading.current_thread() is not threading.main_thread() or not hasattr(signal, "SIGCHLD"):
        return iter(inner)
    before = signal.getsignal(signal.SIGCHLD)
    batches = iter(inner)
    signal.signal(signal.SIGCHLD, before)
    return batches


def loader(examples: Examples, batches: Sequence[list[Key]] | Order, *, workers: int | None, cuda: bool) -> Loader:
    """Return a loader of ``batches``.

    Examples that are ready need no loading process, whatever ``workers`` is; None chooses by the processor and by
    what processes may share.

    Raises:
        SegfastError: so many ``workers`` share more than /dev/shm holds.
    """
    if examples.ready:
        workers = 0
    elif workers is None:
        workers = min(8, max(1, (os.cpu_count() or 2) - 1), _most_workers(examples, batches))
    elif workers > _most_workers(examples, batches):
        most = _most_workers(examples, batches)
        raise SegfastError(
            f"--num-workers {workers} share more than {_SHARED} can hold; {most} fit. Pass --num-workers {most}, or"
            " give the container more shared memory (docker run --shm-size 1g)"
        )
    inner = data.DataLoader(
        _Guarded(examples),
        batch_sampler=batches,
        num_workers=workers,
        worker_init_fn=_quiet_worker,
        collate_fn=_collated,
        pin_memory=cuda,
        persistent_workers=workers > 0,
    )
    return Loader(inner)


def _most_workers(examples: Examples, batches: Sequence[list[Key]] | Order) -> int:
    """Return for how many processes' batches the shared memory is large enough."""
    if not _SHARED.is_dir() or not len(batches):
        return 1 << 16
    pair = sum(part.nbytes for part in examples[next(iter(batches))[0]])
    count = max(map(len, batches)) if not isinstance(batches, Order) else len(next(iter(batches)))
    return int(shutil.disk_usage(_SHARED).free // (_AHEAD * pair * count))


def _quiet_worker(_: int) -> None:
    """Leave Ctrl-C to the main process, which finishes its step first, and give SIGTERM its usual meaning back."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
