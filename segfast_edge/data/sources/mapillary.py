"""Mapillary Vistas v1.2: pictures of many sizes, 66 classes named in its config.json, the last of them void."""

from collections.abc import Mapping
from pathlib import Path

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.shared.files import read_json
from segfast_edge.data.pairs import LabelMap, PairedSource, existing_root, split_listings
from segfast_edge.errors import ArtifactError, DataError

LAYOUT = "config.json and {training,validation}/{images,labels}"
OPTIONS: tuple[str, ...] = ()
SIZE = (768, 1024)  # pictures are 1024 x 768 and up, most of that shape
FOLDERS = {"train": "training", "val": "validation"}
# the download of version 2 holds version 1.2's labels too, under names of their own
_PLACES = (("config.json", "labels"), ("config_v1.2.json", "v1.2/labels"))


def source(root: Path | None, options: Mapping[str, str]) -> PairedSource:
    """Open the folder that holds ``training`` and ``validation``."""
    del options
    root = existing_root(root, "mapillary", LAYOUT)
    for config, labels in _PLACES:
        if (root / config).is_file():
            classes = _classes(root / config)
            folders = {s: (root / f / "images", root / f / labels) for s, f in FOLDERS.items()}
            listings = split_listings(folders, (".jpg",))
            if not listings:
                raise DataError(f"{root} has no training/images or validation/images; expected {LAYOUT}")
            return PairedSource("mapillary", classes, SIZE, listings, LabelMap.identity(classes))
    raise DataError(f"{root} is not Mapillary Vistas v1.2: no config.json; expected {LAYOUT}")


def _classes(path: Path) -> ClassSet:
    """Read names and colours; the last class, which stands for what nobody labelled, becomes the ignored value."""
    try:
        labels = read_json(path, "Mapillary's class list")["labels"]
        names = [str(label["readable"]) for label in labels]
        if len(set(names)) != len(names):
            names = [str(label["name"]) for label in labels]
        palette = [(int(r), int(g), int(b)) for r, g, b in (label["color"] for label in labels)]
        last = str(labels[-1]["name"])
    except (ArtifactError, KeyError, IndexError, TypeError, ValueError) as error:
        raise DataError(f"{path} is not Mapillary's class list: {type(error).__name__} {error}") from error
    if not last.endswith("unlabeled"):
        raise DataError(f"{path} ends with class '{last}'; expected void--unlabeled, as in Vistas v1.2")
    return ClassSet(tuple(names[:-1]), tuple(palette[:-1]), ignored=len(names) - 1)
