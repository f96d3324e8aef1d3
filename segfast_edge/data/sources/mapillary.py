"""Mapillary Vistas: pictures of many sizes, with 66 classes in v1.2 and 124 in v2.0, of which the last is void."""

from collections.abc import Mapping
from pathlib import Path

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.shared.files import read_json
from segfast_edge.data.pairs import LabelMap, PairedSource, existing_root, split_listings
from segfast_edge.errors import ArtifactError, DataChoiceError, DataError, unknown

LAYOUT = "config.json and {training,validation}/{images,labels}"
OPTIONS = ("version",)
SIZE = (768, 1024)  # pictures are 1024 x 768 and up, most of that shape
FOLDERS = {"train": "training", "val": "validation"}
# the download of version 2 holds both versions' labels, under names of their own
_PLACES = (
    ("1.2", "config.json", "labels"),
    ("1.2", "config_v1.2.json", "v1.2/labels"),
    ("2.0", "config_v2.0.json", "v2.0/labels"),
)


def source(root: Path | None, options: Mapping[str, str]) -> PairedSource:
    """Open the folder that holds ``training`` and ``validation``.

    Option ``version`` is 1.2 or 2.0. It may be left out for a folder with version 1.2 alone; version 2.0 is never taken
    unasked, for its classes are others.
    """
    root = existing_root(root, "mapillary", LAYOUT)
    places = [place for place in _PLACES if (root / place[1]).is_file()]
    if not places:
        raise DataError(f"{root} is not Mapillary Vistas: no config.json; expected {LAYOUT}")
    versions = sorted({version for version, *_ in places})
    wanted = options.get("version")
    if wanted is None and versions != ["1.2"]:
        raise DataChoiceError(
            f"{root} is Mapillary Vistas with the labels of version {' and '.join(versions)}; 1.2 has 66 classes,"
            f" 2.0 has 124. Choose with --data mapillary:version={versions[-1]}"
        )
    for version, config, labels in places:
        if version == (wanted or "1.2"):
            classes = _classes(root / config)
            folders = {s: (root / f / "images", root / f / labels) for s, f in FOLDERS.items()}
            listings = split_listings(folders, (".jpg",))
            if not listings:
                raise DataError(f"{root} has no training/images or validation/images; expected {LAYOUT}")
            return PairedSource("mapillary", classes, SIZE, listings, LabelMap.identity(classes))
    raise DataError(f"{root}: {unknown('version of Mapillary Vistas', wanted or '', versions)}")


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
        raise DataError(f"{path} ends with class '{last}'; expected void--unlabeled, as in Vistas v1.2 and v2.0")
    return ClassSet(tuple(names[:-1]), tuple(palette[:-1]), ignored=len(names) - 1)
