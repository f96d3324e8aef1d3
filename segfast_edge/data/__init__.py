"""Datasets, protocols and augmentation."""

import importlib
import re
from collections.abc import Mapping
from pathlib import Path

from segfast_edge.contract.shared.found import names_in
from segfast_edge.data.arrange import ON_ANY, arranged
from segfast_edge.data.pairs import PairedSource
from segfast_edge.data.protocol import Protocol
from segfast_edge.data.sample import Dataset, Sample, Source
from segfast_edge.errors import DataError, unknown
from segfast_edge.own_code import own_function

__all__ = ["Dataset", "Protocol", "Sample", "Source", "datasets", "native_size", "open_dataset", "open_source"]


def datasets() -> list[str]:
    """Return the names of the datasets that can be read."""
    return names_in(Path(__file__).parent / "sources")


def open_source(name: str, root: Path | None) -> Source:
    """Open a dataset before a split is chosen; ``name`` may carry options, as in ``scenes:seed=3,train=100``.

    A module in ``sources`` says which options it has (``OPTIONS``); all datasets on disk have those of ``arrange``.
    The user's own ``package.module:function`` gets the root and gives a ``Source``.

    Raises:
        DataError: no such dataset or option, or ``root`` does not hold it.
    """
    stem, options = parse_name(name)
    if ":" in stem:
        return _arranged(stem, _own_source(stem, root), root, options)
    if stem not in datasets():
        raise DataError(unknown("dataset", stem, datasets()) + ", or your own package.module:function")
    module = importlib.import_module(f"{__name__}.sources.{stem}")
    own = {key: value for key, value in options.items() if key in module.OPTIONS}
    for key in options.keys() - own.keys():
        if key not in ON_ANY or not hasattr(module, "LAYOUT"):
            raise DataError(unknown(f"{stem} option", key, (*module.OPTIONS, *ON_ANY * hasattr(module, "LAYOUT"))))
    return _arranged(stem, module.source(root, own), root, {k: v for k, v in options.items() if k not in own})


def _own_source(name: str, root: Path | None) -> Source:
    source: Source = own_function("dataset", name, "function(root) that gives a segfast_edge.data.Source")(root)
    missing = [member for member in ("classes", "size", "splits", "open") if not hasattr(source, member)]
    if missing:
        raise DataError(f"dataset '{name}' gave a {type(source).__name__} without {', '.join(missing)}")
    return source


def _arranged(name: str, source: Source, root: Path | None, options: Mapping[str, str]) -> Source:
    for key in options:
        if key not in ON_ANY:
            raise DataError(unknown(f"{name} option", key, ON_ANY))
    if isinstance(source, PairedSource) and root is not None:
        return arranged(source, root, options)
    if options:
        raise DataError(f"option {next(iter(options))} is for datasets of image and label files below --data-root")
    return source


def parse_name(name: str) -> tuple[str, dict[str, str]]:
    """Split ``folder:key=value,key=value`` into its parts; a value may hold commas that no ``key=`` follows.

    Raises:
        DataError: a part without an equals sign.
    """
    stem, _, text = name.partition(":")
    match = re.match(r"\w+(?=,|$)", text)
    if match and stem not in datasets():  # one's own package.module:function
        stem, text = f"{stem}:{match.group()}", text[match.end() :].lstrip(",")
    options: dict[str, str] = {}
    for part in filter(None, re.split(r",(?=[a-z][a-z-]*=)", text)):
        key, equals, value = part.partition("=")
        if not equals:
            raise DataError(f"dataset option '{part}' is not key=value, for example scenes:seed=3,train=100")
        options[key.strip()] = value.strip()
    return stem, options


def with_options(name: str, options: Mapping[str, str | None]) -> str:
    """Return the name of a dataset with more options; those that are None are left out."""
    more = ",".join(f"{key}={value}" for key, value in options.items() if value is not None)
    stem, before = parse_name(name)
    return name + ("," if before or ":" in stem else ":") + more if more else name


def native_size(name: str, root: Path | None) -> tuple[int, int]:
    """Return the height and width at which results on this dataset are published, for ``Protocol.named``."""
    return open_source(name, root).size


def open_dataset(name: str, root: Path | None, split: str, protocol: Protocol) -> Dataset:
    """Open one split with its labels in the classes that ``protocol`` counts; frames stay at their native size.

    Raises:
        DataError: no such dataset or split, or its files do not pair up.
    """
    return protocol.apply(open_source(name, root).open(split))
