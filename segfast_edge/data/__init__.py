"""Datasets, protocols and augmentation."""

import importlib
from pathlib import Path

from segfast_edge.contract.found import names_in
from segfast_edge.data.protocol import Protocol
from segfast_edge.data.sample import Dataset, Sample, Source
from segfast_edge.errors import DataError, unknown

__all__ = ["Dataset", "Protocol", "Sample", "Source", "datasets", "native_size", "open_dataset", "open_source"]


def datasets() -> list[str]:
    """Return the names of the datasets that can be read."""
    return names_in(Path(__file__).parent / "sources")


def open_source(name: str, root: Path | None) -> Source:
    """Open a dataset before a split is chosen; ``name`` may carry options, as in ``scenes:seed=3,train=100``.

    Raises:
        DataError: no such dataset or option, or ``root`` does not hold it.
    """
    stem, _, text = name.partition(":")
    if stem not in datasets():
        raise DataError(unknown("dataset", stem, datasets()))
    options: dict[str, str] = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        if not equals:
            raise DataError(f"dataset option '{part}' is not key=value, for example scenes:seed=3,train=100")
        options[key.strip()] = value.strip()
    found: Source = importlib.import_module(f"{__name__}.sources.{stem}").source(root, options)
    return found


def native_size(name: str, root: Path | None) -> tuple[int, int]:
    """Return the height and width at which results on this dataset are published, for ``Protocol.named``."""
    return open_source(name, root).size


def open_dataset(name: str, root: Path | None, split: str, protocol: Protocol) -> Dataset:
    """Open one split with its labels in the classes that ``protocol`` counts; frames stay at their native size.

    Raises:
        DataError: no such dataset or split, or its files do not pair up.
    """
    return protocol.apply(open_source(name, root).open(split))
