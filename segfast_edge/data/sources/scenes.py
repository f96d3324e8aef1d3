"""Street scenes drawn by a program: no download, no licence, exact labels; the same for the same seed."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.preprocess import parse_size
from segfast_edge.data.sample import Sample
from segfast_edge.data.scene import CLASSES, render
from segfast_edge.errors import DataError, unknown

SPLITS = ("train", "val", "test")
OPTIONS = (*SPLITS, "seed", "size")


@dataclass(frozen=True, slots=True)
class SceneSource:
    """Drawn scenes: their number in each split, size in pixels (height, width), and seed."""

    size: tuple[int, int] = (240, 320)
    train: int = 400
    val: int = 80
    test: int = 80
    seed: int = 0

    def __post_init__(self) -> None:
        for name in (*SPLITS, "seed"):
            if getattr(self, name) < 0:
                raise DataError(f"scenes option {name} is {getattr(self, name)}; it must not be negative")

    @property
    def classes(self) -> ClassSet:
        """Names and colours as in CamVid; the own car's bonnet is void."""
        return CLASSES

    @property
    def splits(self) -> tuple[str, ...]:
        """Train, val and test; no scene is in two of them."""
        return SPLITS

    def open(self, split: str) -> "Scenes":
        """Open one split."""
        if split not in SPLITS:
            raise DataError(f"scenes: {unknown('split', split, SPLITS)}")
        return Scenes(self, split)


@dataclass(frozen=True, slots=True)
class Scenes:
    """One split; a scene is drawn when it is asked for."""

    source: SceneSource
    split: str
    name: str = "scenes"

    @property
    def classes(self) -> ClassSet:
        """The classes of the labels."""
        return self.source.classes

    def __len__(self) -> int:
        return int(getattr(self.source, self.split))

    def __getitem__(self, index: int) -> Sample:
        if not 0 <= index < len(self):
            raise IndexError(f"scene {index} of {len(self)}")
        frame, labels = render((self.source.seed, SPLITS.index(self.split), index), self.source.size)
        return Sample(f"{self.split}_{index:05d}", frame, labels)


def source(root: Path | None, options: Mapping[str, str]) -> SceneSource:
    """Read the options train, val, test, seed and size=HxW; ``root`` is not needed and not looked at."""
    del root
    numbers: dict[str, int] = {}
    size = parse_size(options["size"]) if "size" in options else (240, 320)
    for key, text in options.items():
        if key != "size" and not (text.isascii() and text.isdigit()):
            raise DataError(f"scenes option {key}={text} is not a whole number")
        if key != "size":
            numbers[key] = int(text)
    return SceneSource(size, **numbers)
