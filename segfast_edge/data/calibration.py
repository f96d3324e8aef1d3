"""Frames to calibrate int8 with: a list that names them by hash, and a reader that gives what the device would see."""

import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.contract.shared import records
from segfast_edge.contract.shared.files import read_json, sha256, write_json
from segfast_edge.contract.shared.images import Frame, list_pictures, read_frame
from segfast_edge.data import open_source, parse_name
from segfast_edge.data.pairs import EVERYTHING, PairedSource
from segfast_edge.errors import ArtifactError, DataError

LIST_VERSION = 1
# an int8 model that has seen what it is measured on measures too well
MEASURED = ("val", "valid", "validation", "test", "testing")
ALIKE = 2.0  # standard deviation, of 255, between frames below which a set calibrates hardly more than one frame would

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ListedFrame:
    """One frame: its path below the dataset's folder, with forward slashes, and its file's SHA-256."""

    path: str
    sha256: str

    def __post_init__(self) -> None:
        path = PurePosixPath(self.path)
        if not self.path or path.is_absolute() or ".." in path.parts or "\\" in self.path:
            raise DataError(f"calibration path '{self.path}' does not lie below the dataset's folder")
        _refuse_measured(path.parts[:-1], self.path)


@dataclass(frozen=True, slots=True)
class CalibrationList:
    """A list of frames, with the dataset, split and seed that they were chosen from."""

    dataset: str
    split: str
    seed: int
    entries: tuple[ListedFrame, ...]

    def __post_init__(self) -> None:
        if self.split.lower() in (*MEASURED, EVERYTHING):
            raise DataError(f"calibration on '{self.split}' is refused: models are measured on it. Use train")
        if not self.entries:
            raise DataError("the calibration list is empty; at least one frame is needed")
        if len({entry.path for entry in self.entries}) != len(self.entries):
            raise DataError("the calibration list names a frame twice")

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {"calibration_version": LIST_VERSION, **records.written(self)}

    def save(self, path: Path) -> None:
        """Write the list, whole or not at all."""
        write_json(path, self.to_json())

    @classmethod
    def load(cls, path: Path) -> "CalibrationList":
        """Read what ``save`` wrote.

        Raises:
            DataError: missing, malformed, of another version, empty, or drawn from a split that is refused.
        """
        try:
            value = read_json(path, "calibration list")
        except ArtifactError as error:
            raise DataError(str(error)) from error
        version = value.get("calibration_version")
        if version != LIST_VERSION:
            raise DataError(f"calibration list {path} has version {version}; this release reads {LIST_VERSION}")
        try:
            return records.read(cls, value)
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f"calibration list {path} is malformed: {type(error).__name__} {error}") from error
        except DataError as error:
            raise DataError(f"{path}: {error}") from error


def choose(name: str, root: Path, *, split: str = "train", count: int = 300, seed: int = 0) -> CalibrationList:
    """Draw ``count`` frames of a split evenly, by ``seed``.

    Raises:
        DataError: a dataset that has no files, too few frames, or a split that is refused.
    """
    _refuse_measured([split], name)
    source = open_source(name, root)
    if not isinstance(source, PairedSource):
        raise DataError(f"dataset {name} has no files to list. Run: segfast-edge data export {name} --out DIR")
    pairs = source.listing(split).pairs
    if not 1 <= count <= len(pairs):
        raise DataError(f"{count} frames asked for; {name} {split} has {len(pairs)}")
    chosen = np.random.default_rng(seed).choice(len(pairs), count, replace=False)
    images = [pairs[int(index)].image for index in sorted(chosen)]
    entries = tuple(ListedFrame(image.relative_to(root).as_posix(), sha256(image)) for image in images)
    return CalibrationList(name, split, seed, entries)


@dataclass(frozen=True, slots=True)
class Calibration:
    """A list and where its dataset lies; a folder of pictures becomes a list of all of them."""

    listed: CalibrationList
    root: Path

    @classmethod
    def open(cls, where: Path, root: Path | None) -> "Calibration":
        """Open a list (then ``root`` is its dataset's folder), a folder of pictures, or a shipped list by its name.

        Raises:
            DataError: nothing there, not a list, an empty folder, or a folder named like a split that is refused.
        """
        if where.is_dir():
            return cls(_listed(where), where)
        path = where if where.is_file() else shipped().get(str(where), where)
        if root is None:
            raise DataError(f"calibration list {where} names frames by path; say below which folder: --data-root DIR")
        return cls(CalibrationList.load(path), root)

    def frames(self, preprocess: Preprocess, count: int | None = None) -> Iterator[Frame]:
        """Give each frame as the network gets it, uint8 height x width x 3; ``count`` takes that many, spread evenly.

        Raises:
            DataError: a file is missing or is not the one that was listed, or ``count`` is not to be had.
        """
        entries = self.listed.entries
        wanted = len(entries) if count is None else count
        if not 1 <= wanted <= len(entries):
            raise DataError(f"{wanted} calibration frames asked for; the list has {len(entries)}")
        convert = parse_name(self.listed.dataset)[1].get("convert-rgb") == "yes"
        small = []
        for index in np.linspace(0, len(entries) - 1, wanted, dtype=int):
            frame = preprocess.image(read_frame(self._verified(entries[int(index)]), convert=convert))
            small.append(frame[:: max(1, frame.shape[0] // 8), :: max(1, frame.shape[1] // 8)])
            yield frame
        spread = float(np.std(np.array(small, np.float32), axis=0).mean())
        if spread < ALIKE:
            _log.warning("the %d calibration frames are almost identical; int8 will fit few other frames", wanted)

    def describe(self) -> dict[str, Any]:
        """Return what a manifest keeps of it."""
        value = self.listed.to_json()
        digest = hashlib.sha256("".join(entry.sha256 for entry in self.listed.entries).encode()).hexdigest()
        return {key: value[key] for key in ("dataset", "split", "seed")} | {
            "frames": len(self.listed.entries),
            "sha256": digest,
        }

    def _verified(self, entry: ListedFrame) -> Path:
        path = self.root / entry.path
        if not path.is_file():
            raise DataError(f"calibration frame {entry.path} is not in {self.root}")
        if sha256(path) != entry.sha256:
            raise DataError(f"calibration frame {path} is not the one that was listed: its SHA-256 differs")
        return path


def shipped() -> dict[str, Path]:
    """Return the lists that come with the toolkit, by name."""
    package = Path(__file__).parents[1]
    for folder in (package.parent / "calibration", package / "_calibration"):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.json"))}
    return {}


def _listed(folder: Path) -> CalibrationList:
    _refuse_measured(folder.resolve().parts[-2:], folder)
    entries = tuple(ListedFrame(path.name, sha256(path)) for path in list_pictures(folder))
    return CalibrationList("folder", "pictures", 0, entries)


def _refuse_measured(folders: Sequence[str], where: object) -> None:
    """Raise DataError if a path leads through a folder that holds what models are measured on."""
    for name in folders:
        if name.lower() in MEASURED:
            raise DataError(f"calibration on {where} is refused: '{name}' is what models are measured on. Use train")
