"""Dataclasses and typed dictionaries as JSON: written field by field, read back by the kinds that they declare."""

import math
import types
from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints, is_typeddict

T = TypeVar("T")


def plain(value: Any) -> Any:
    """Return a value as JSON has it; a dataclass by its own ``to_json`` if it has one."""
    if hasattr(value, "to_json"):
        return value.to_json()
    if is_dataclass(value):
        return written(value)
    if isinstance(value, Mapping):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, Path):
        return str(value)
    return [plain(each) for each in value] if isinstance(value, tuple | list) else value


def written(record: Any) -> dict[str, Any]:
    """Return a dataclass's fields as JSON has them."""
    return {field.name: plain(getattr(record, field.name)) for field in fields(record)}


def read(kind: type[T], value: Mapping[str, Any], optional: Collection[str] = (), **narrower: Any) -> T:
    """Return a dataclass with fields as ``value`` has them; those that are ``optional`` may be missing.

    ``narrower`` gives kinds of fields that hold more than the dataclass says. Whatever else ``value`` has is ignored.

    Raises:
        KeyError, TypeError, ValueError: a field is missing or of another kind.
    """
    hints = get_type_hints(kind) | narrower
    names = [field.name for field in fields(kind) if field.name in value or field.name not in optional]  # type: ignore[arg-type]
    return kind(**{name: checked(hints[name], value[name]) for name in names})


def checked(kind: Any, value: Any) -> Any:
    """Return ``value`` if it is of that kind, tuples and floats made of lists and whole numbers; else as ``read``."""
    parts = get_args(kind)
    if kind is Any:
        return value
    if kind is Path:
        return Path(_of(str, value))
    if is_dataclass(kind):
        return kind.from_json(value) if hasattr(kind, "from_json") else read(kind, value)  # type: ignore[arg-type]
    if is_typeddict(kind):
        return _entries(kind, value)
    if types.NoneType in parts:
        return None if value is None else checked(parts[0], value)
    if get_origin(kind) in (tuple, list):
        kinds = parts if get_origin(kind) is tuple and parts[-1] is not Ellipsis else parts[:1] * len(_of(list, value))
        return get_origin(kind)(checked(part, each) for part, each in zip(kinds, _of(list, value), strict=True))
    if get_origin(kind) is Mapping:
        return {_of(str, name): checked(parts[1], each) for name, each in _of(dict, value).items()}
    if get_origin(kind) is Literal:
        if value not in parts:
            raise ValueError(f"{value!r} is not one of {', '.join(map(str, parts))}")
        return value
    return _number(value) if kind is float else _of(kind, value)


def _entries(kind: Any, value: Any) -> dict[str, Any]:
    """Return a typed dictionary and whatever else is in it; an empty one stands for what is not known."""
    found = dict(_of(dict, value))
    for name, hint in get_type_hints(kind).items() if found else ():
        if name in found or name in kind.__required_keys__:
            found[name] = checked(hint, found[name])
    return found


def _of(kind: type, value: Any) -> Any:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{value!r} is not a {_NAMES[kind]}")
    return value


_NAMES = {str: "text", int: "whole number", bool: "truth value", list: "list", dict: "set of names and values"}


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"{value!r} is not a number")
    if not math.isfinite(value):
        raise ValueError(f"{value!r} is not finite")
    return float(value)
