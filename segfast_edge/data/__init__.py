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

__all__ = ["Dataset", "Protocol", "Sample", "Source", "datasets", "native_size", "open_dataset", "open_source"]


def datasets() -> list[str]:
    """Return the names of the datasets that can be read."""
    return names_in(Path(__file__).parent / "sources")


def open_source(name: str, root: Path | None) -> Source:
    """Open a dataset before a split is chosen; ``name`` may carry options, as in ``scenes:seed=3,train=100``.

    A module in ``sources`` says which options it has (``OPTIONS``); all datasets on disk have those of ``arrange``.

    Raises:
        DataError: no such dataset or option, or ``root`` does not hold it.
    """
    stem, options = parse_name(name)
    if stem not in datasets():
        raise DataError(unknown("dataset", stem, datasets()))
    module = importlib.import_module(f"{__name__}.sources.{stem}")
    allowed = (*module.OPTIONS, *(ON_ANY if hasattr(module, "LAYOUT") else ()))
    for key in options:
        if key not in allowed:
            raise DataError(unknown(f"{stem} option", key, allowed))
    own = {key: value for key, value in options.items() if key in module.OPTIONS}
    source: Source = module.source(root, own)
    if not isinstance(source, PairedSource) or root is None:
        return source
    return arranged(source, root, {key: value for key, value in options.items() if key not in module.OPTIONS})


def parse_name(name: str) -> tuple[str, dict[str, str]]:
    """Split ``folder:key=value,key=value`` into its parts; a value may hold commas that no ``key=`` follows.

    Raises:
        DataError: a part without an equals sign.
    """
    stem, _, text = name.partition(":")
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
    return name + ("," if ":" in name else ":") + more if more else name


def native_size(name: str, root: Path | None) -> tuple[int, int]:
    """Return the height and width at which results on this dataset are published, for ``Protocol.named``."""
    return open_source(name, root).size


def open_dataset(name: str, root: Path | None, split: str, protocol: Protocol) -> Dataset:
    """Open one split with its labels in the classes that ``protocol`` counts; frames stay at their native size.

    Raises:
        DataError: no such dataset or split, or its files do not pair up.
    """
    return protocol.apply(open_source(name, root).open(split))
