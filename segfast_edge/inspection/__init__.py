"""What a model file holds, read by a reader of its format: one module per format, with ``read(path) -> ModelFile``.

No file is executed, and none has to be ours.
"""

import importlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from segfast_edge.contract.formats import format_named, format_names
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.shared import records
from segfast_edge.errors import ArtifactError, SegfastError

CHECKPOINT = ".pt"
EMBEDDED = "segfast_edge"  # under this name our files hold what is known of them


@dataclass(frozen=True, slots=True)
class Port:
    """An input or output: its name, its shape as far as it is fixed (``?`` otherwise), and numpy's name of its type."""

    name: str
    shape: tuple[int | str, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class ModelFile:
    """What a reader finds in a file.

    ``operators`` counts the file's own operators, most frequent first. ``macs`` are the multiply-accumulates of
    convolutions and matrix products in one run, None if the file does not fix every shape. ``weights`` counts the
    numbers that these operators multiply with, by type. ``metadata`` is what else the file says of itself.
    """

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    operators: Mapping[str, int]
    macs: int | None = None
    weights: Mapping[str, int] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Inspection:
    """A file or folder: ``kind`` is artifact, checkpoint or model file; what is not known is None or empty."""

    path: str
    kind: str
    format: str
    file: ModelFile
    precision: str
    bytes: int
    preprocess: Mapping[str, Any] | None = None
    classes: Mapping[str, Any] | None = None
    provenance: Mapping[str, Any] = field(default_factory=dict)
    parity: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        value = records.written(self)
        return {**value, **value.pop("file")}


def inspect(path: Path) -> Inspection:
    """Read an artifact folder, a checkpoint of ours, or a model file of any format that we write.

    Raises:
        ArtifactError: nothing is there, or it is damaged, or of no known kind.
    """
    if path.is_dir():
        return _artifact(path)
    if not path.is_file():
        raise ArtifactError(f"no file or artifact folder at {path}")
    if path.suffix == CHECKPOINT:
        from segfast_edge.inspection.checkpoint import read_checkpoint  # torch, which the other kinds do without

        return read_checkpoint(path)
    return _model_file(path)


def counted(kinds: Iterable[str]) -> dict[str, int]:
    """Return how often each kind occurs, the most frequent first."""
    return dict(Counter(kinds).most_common())


def total(macs: Iterable[int | None]) -> int | None:
    """Return a sum, or None where a part of it is not known."""
    parts = list(macs)
    return None if None in parts else sum(each for each in parts if each is not None)


def _read(name: str, path: Path) -> ModelFile:
    reader = importlib.import_module(f"{__name__}.{name}")
    try:
        found: ModelFile = reader.read(path)
    except (SegfastError, ModuleNotFoundError, MemoryError):
        raise
    except Exception as error:  # each runtime raises its own classes, and a damaged file almost anything
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise ArtifactError(f"{path} cannot be read as {format_named(name).title}: {first}") from error
    return found


def _artifact(path: Path) -> Inspection:
    manifest = Manifest.load(path)
    value = manifest.to_json()
    return Inspection(
        str(path),
        "artifact",
        manifest.format,
        _read(manifest.format, path / manifest.model_file),
        manifest.precision,
        sum((path / name).stat().st_size for name in manifest.files if not name.startswith("golden/")),
        value["preprocess"],
        value["classes"],
        value["provenance"],
        value["parity"],
    )


def _model_file(path: Path) -> Inspection:
    suffixes = {Path(format_named(name).model_file).suffix: name for name in format_names()}
    name = suffixes.get(path.suffix)
    if name is None:
        known = ", ".join(sorted([*suffixes, CHECKPOINT]))
        raise ArtifactError(f"{path} is of no known kind; expected an artifact folder, or a file that ends in {known}")
    found = _read(name, path)
    said = _ours(found.metadata)
    size = sum(each.stat().st_size for each in (path, *_beside(path, name)) if each.is_file())
    return Inspection(
        str(path), "model file", name, found, "+".join(sorted(found.weights)) or "none", size,
        said.get("preprocess"), said.get("classes"), said.get("provenance", {}),
    )  # fmt: skip


def _beside(path: Path, name: str) -> list[Path]:
    return [path.with_suffix(Path(each).suffix) for each in format_named(name).more_files]


def _ours(metadata: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a file of ours says of itself, as its manifest does."""
    try:
        value = json.loads(metadata.get(EMBEDDED, "{}"))
    except (TypeError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}
