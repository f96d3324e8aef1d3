"""Turns exceptions of third-party converters into one-line errors that name the operator."""

import contextlib
import io
import logging
import traceback
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from segfast_edge.errors import ArtifactError, ConversionError, SegfastError


@contextlib.contextmanager
def explained(what: str, advice: str) -> Iterator[None]:
    """Raise a converter's failure as ConversionError with the line of its message that says most, and ``advice``.

    Converters raise what they like (RuntimeError, their own classes, AttributeError for an operator they do not
    know), so everything but our own bugs' assertions, a full disk and an interruption is theirs.
    """
    try:
        with _without_deprecations():
            yield
    except (ConversionError, AssertionError, OSError, MemoryError):
        raise
    except Exception as error:
        raise ConversionError(f"{what}: {telling_line(error)}. {advice}") from error


@contextlib.contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Raise a failure to write a model file as ArtifactError; torch and OpenVINO report a full disk as RuntimeError."""
    try:
        with _without_deprecations():
            yield
    except (OSError, RuntimeError) as error:
        raise ArtifactError(f"cannot write the model into {folder.parent}: {telling_line(error)}") from error


@contextlib.contextmanager
def running(network: nn.Module, size: tuple[int, int]) -> Iterator[None]:
    """Raise what a network's own code raises as ConversionError, in one line that names the layer."""
    try:
        yield
    except (SegfastError, MemoryError):
        raise
    except Exception as error:
        names = {id(module): name for name, module in network.named_modules()}
        frames = (frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__))
        layers = [held for held in frames if id(held) in names]
        name = names[id(layers[-1])] if layers else ""
        where = f"in layer '{name}' ({type(layers[-1]).__name__}) " if name else ""
        message = str(error).strip().partition("\n")[0] or "no message"
        height, width = size
        raise ConversionError(
            f"the network fails {where}on a picture of {height}x{width}: {type(error).__name__}: {message}"
        ) from error


@contextlib.contextmanager
def _without_deprecations() -> Iterator[None]:
    """Hide what converters say about their own future, and that a shape became a constant of the artifact."""
    with warnings.catch_warnings():
        for category in (DeprecationWarning, FutureWarning, torch.jit._trace.TracerWarning):
            warnings.filterwarnings("ignore", category=category)
        yield


@contextlib.contextmanager
def quiet(name: str) -> Iterator[None]:
    """Keep another tool's bars and remarks to itself: standard output may be somebody's JSON."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)


def telling_line(error: BaseException) -> str:
    """Return the line that names an operator or, failing that, the first with text, of the deepest cause."""
    lines: list[str] = []
    cause: BaseException | None = error
    while cause is not None:
        lines[:0] = [line.strip() for line in str(cause).splitlines() if line.strip()]
        cause = cause.__cause__
    naming = [line for line in lines if "aten" in line or "operator" in line.lower()]
    return (naming or lines or [type(error).__name__])[0].rstrip(".")[:400]
