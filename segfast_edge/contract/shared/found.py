"""Descriptors that are found by listing their folder, named by their files. Standard library only."""

import importlib
from pathlib import Path
from typing import TypeVar

Descriptor = TypeVar("Descriptor")


def names_in(folder: Path) -> list[str]:
    """Return the names of the modules in ``folder``; one that begins with an underscore serves the others."""
    return sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))


def descriptor_in(module: str, constant: str, kind: type[Descriptor]) -> Descriptor:
    """Return the descriptor that a module holds in ``constant``.

    Raises:
        TypeError: the module has none; the message says what it has to hold.
    """
    found = getattr(importlib.import_module(module), constant, None)
    if not isinstance(found, kind):
        raise TypeError(f"module {module} needs {constant} = {kind.__name__}(...); it has {type(found).__name__}")
    return found
