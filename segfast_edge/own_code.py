"""Import what users name as ``package.module:function``, from the import path or the current folder."""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from segfast_edge.errors import SegfastError


def own_function(kind: str, name: str, expected: str) -> Callable[..., Any]:
    """Return the function (or class) that ``name`` gives; ``kind`` and ``expected`` are for the message.

    Raises:
        SegfastError: no such module or function.
    """
    place, _, function_name = name.partition(":")
    function = getattr(_module(place, f"{kind} '{name}'", expected), function_name, None)
    if not callable(function):
        raise SegfastError(f"{kind} '{name}': {place} has no function '{function_name}'; expected {expected}")
    found: Callable[..., Any] = function
    return found


def _module(place: str, what: str, expected: str) -> ModuleType:
    here = str(Path.cwd())
    if here not in sys.path:  # a console script, unlike `python -m`, does not look there; last, so it shadows nothing
        sys.path.append(here)
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name is None or not (place == error.name or place.startswith(f"{error.name}.")):
            raise  # it is there, and lacks something of its own
        raise SegfastError(f"{what}: no module '{error.name}' on the import path or in {here}") from error
    except ValueError as error:
        raise SegfastError(f"{what} is not of the form package.module:{expected.partition('(')[0]}") from error
