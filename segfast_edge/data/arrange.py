"""Options of every dataset on disk: other splits, other classes, pictures of other modes."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from segfast_edge.data.mapping import ClassMapping, MappedLabels
from segfast_edge.data.pairs import PairedSource
from segfast_edge.data.split_lists import with_splits
from segfast_edge.data.splits import divided_by_group
from segfast_edge.errors import DataError

SPLITS = ("train", "val", "test")
# each is also an option of the command line, with two hyphens before it
ON_ANY = ("convert-rgb", "turn-labels", "map", "group", "val-group", *SPLITS)


def arranged(source: PairedSource, root: Path, options: Mapping[str, str]) -> PairedSource:
    """Return the dataset with ``options`` applied, each written down in its record.

    ``train``, ``val`` and ``test`` are names of splits joined by ``+``, or a file that lists pictures. ``group`` is a
    pattern that finds the drive, city or camera in a picture's name, and ``val-group`` those that become val.

    Raises:
        DataError: an option that means nothing here.
    """
    lists = {split: options[split] for split in SPLITS if split in options}
    if "val-group" in options and "group" not in options:
        raise DataError("val-group names groups, which need group=REGEX to be found")
    if lists:
        source = with_splits(source, root, lists)
    if "group" in options:
        chosen = tuple(filter(None, options.get("val-group", "").split("+")))
        source = divided_by_group(source, options["group"], chosen)
    if "convert-rgb" in options:
        source = replace(source, convert=_yes("convert-rgb", options) or source.convert)
    if "turn-labels" in options:
        source = replace(source, turn_labels=_yes("turn-labels", options))
    if "map" in options:
        near = root / options["map"]
        source = _mapped(source, ClassMapping.load(near if near.is_file() else Path(options["map"])))
    return replace(source, record={**source.record, **({"options": dict(options)} if options else {})})


def _yes(option: str, options: Mapping[str, str]) -> bool:
    if options[option] not in ("yes", "no"):
        raise DataError(f"dataset option {option}={options[option]}; allowed are yes and no")
    return options[option] == "yes"


def _mapped(source: PairedSource, mapping: ClassMapping) -> PairedSource:
    classes, table = mapping.apply(source.classes)
    record = {**source.record, "map": mapping.to_json()}
    return replace(source, classes=classes, label_map=MappedLabels(source.label_map, table), record=record)
