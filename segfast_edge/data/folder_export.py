"""Writing any dataset as images/, labels/ and classes.json, which every labelling tool and ``folder`` can read."""

from pathlib import Path

from segfast_edge.contract.shared.files import replacing_folder, write_json
from segfast_edge.contract.shared.images import write_picture
from segfast_edge.data.sample import Source
from segfast_edge.progress import Progress


def export_folder(
    source: Source, destination: Path, splits: tuple[str, ...], *, count: int | None, progress: Progress
) -> int:
    """Write the first ``count`` samples (None for all) of each split as PNG; return how many were written.

    Raises:
        DataError: a sample is not as it should be.
        ArtifactError: ``destination`` holds something already or cannot be written.
    """
    opened = [source.open(split) for split in splits]
    parts = [(dataset, len(dataset) if count is None else min(count, len(dataset))) for dataset in opened]
    total, done = sum(part for _, part in parts), 0
    with replacing_folder(destination) as folder:
        for dataset, part in parts:
            images, labels = (folder / kind / dataset.split for kind in ("images", "labels"))
            images.mkdir(parents=True)
            labels.mkdir(parents=True)
            for index in range(part):
                sample = dataset[index]
                name = f"{sample.name.replace('/', '_')}.png"
                write_picture(images / name, sample.frame)
                write_picture(labels / name, sample.labels)
                done += 1
                progress(done, total)
        write_json(folder / "classes.json", source.classes.to_json())
    return done
