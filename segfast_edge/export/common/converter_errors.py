"""What another project's converter says when it cannot, in one line that names the operator."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch

from segfast_edge.errors import ArtifactError, ConversionError


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
