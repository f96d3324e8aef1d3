"""Writing any dataset as images/, labels/ and classes.json, which every labelling tool and ``folder`` can read."""

import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from PIL import ExifTags, Image

from segfast_edge.contract.shared.files import replacing_folder, write_json
from segfast_edge.contract.shared.images import IMAGE_SUFFIXES, write_picture
from segfast_edge.data.pairs import EVERYTHING, PairedDataset
from segfast_edge.data.sample import Dataset, Source
from segfast_edge.progress import Progress

RECORD = "converted.json"


def export_folder(
    source: Source, destination: Path, splits: tuple[str, ...], *, count: int | None, progress: Progress
) -> int:
    """Write the first ``count`` samples (None for all) of each split; return how many were written.

    Picture files that are RGB and upright are copied, others written as PNG. What belongs to no split lies directly in
    ``images/`` and ``labels/``.

    Raises:
        DataError: a sample is not as it should be.
        ArtifactError: ``destination`` holds something already or cannot be written.
    """
    opened = [source.open(split) for split in splits]
    parts = [(dataset, len(dataset) if count is None else min(count, len(dataset))) for dataset in opened]
    total, done = sum(part for _, part in parts), 0
    with replacing_folder(destination) as folder:
        for dataset, part in parts:
            for _ in _written(dataset, part, folder):
                done += 1
                progress(done, total)
        write_json(folder / "classes.json", source.classes.to_json())
        write_json(folder / RECORD, _record(source, parts))
    return done


def _written(dataset: Dataset, part: int, folder: Path) -> Iterator[None]:
    """Write samples on all processors, decoding and encoding being most of the work."""
    inside = "" if dataset.split == EVERYTHING else dataset.split
    images, labels = (folder / kind / inside for kind in ("images", "labels"))
    for path in (images, labels):
        path.mkdir(parents=True, exist_ok=True)

    def write(index: int) -> None:
        sample = dataset[index]
        name = sample.name.replace("/", "_")
        original = dataset.pairs[index].image if isinstance(dataset, PairedDataset) else None
        if original is not None and _as_it_is(original):
            shutil.copyfile(original, images / f"{name}{original.suffix.lower()}")
        else:
            write_picture(images / f"{name}.png", sample.frame)
        write_picture(labels / f"{name}.png", sample.labels)

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from pool.map(write, range(part))


def _as_it_is(path: Path) -> bool:
    """Return whether a picture that was read already is RGB and upright as it is stored."""
    if path.suffix.lower() not in IMAGE_SUFFIXES:
        return False
    with Image.open(path) as picture:
        return picture.mode == "RGB" and picture.getexif().get(ExifTags.Base.Orientation, 1) == 1


def _record(source: Source, parts: list[tuple[Dataset, int]]) -> dict[str, Any]:
    """Return where the folder comes from: the dataset, what was chosen of it, and how many samples of each split."""
    return {
        "dataset": parts[0][0].name if parts else None,
        **dict(getattr(source, "record", {})),
        "samples": {dataset.split: part for dataset, part in parts},
    }
