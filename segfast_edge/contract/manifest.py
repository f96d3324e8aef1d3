"""The manifest: what an artifact is, what goes in, what comes out, and the checksums that hold it to that."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.formats import format_named
from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.contract.shared import records
from segfast_edge.contract.shared.files import read_json, sha256, write_json
from segfast_edge.errors import ArtifactError, SegfastError

SCHEMA_VERSION = 1
FILE_NAME = "manifest.json"
GOLDEN_FRAME, GOLDEN_LABELS = "golden/frame.png", "golden/labels.png"

INPUT_TYPES = ("uint8", "float32")  # pixels from 0 to 255 in both
OutputKind = Literal["labels", "logits"]


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output: its name in the model, shape, numpy dtype name and layout: ``NHWC``, ``NCHW`` or ``NHW``."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything a device needs for the model beside it.

    ``files`` maps each file of the artifact (relative, with ``/``) to its SHA-256. ``precision`` is what the
    file holds (``float32``, ``int8``). ``parity`` says how the artifact compared with torch when it was made,
    ``provenance`` where it came from (network, checkpoint checksum, data, versions, command).
    """

    format: str
    input: TensorSpec
    output: TensorSpec
    output_kind: OutputKind
    preprocess: Preprocess
    classes: ClassSet
    precision: str = "float32"
    files: Mapping[str, str] = field(default_factory=dict)
    parity: Mapping[str, Any] = field(default_factory=dict)
    provenance: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        format_named(self.format)
        size = self.preprocess.size
        shapes = {"NHWC": (1, *size, 3), "NCHW": (1, 3, *size)}
        if self.input.shape != shapes.get(self.input.layout) or self.input.dtype not in INPUT_TYPES:
            raise ArtifactError(
                f"input is {self.input.dtype} {self.input.shape} ({self.input.layout}); expected uint8"
                f" {shapes['NHWC']} as the preprocessing gives, or float32, or NCHW"
            )
        for name in self.files:
            if name.startswith("/") or ".." in name.split("/") or "\\" in name:
                raise ArtifactError(f"file name '{name}' in the manifest leads out of the artifact")

    @property
    def model_file(self) -> str:
        """The file an engine opens, relative to the artifact."""
        return format_named(self.format).model_file

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        value = records.written(self)
        value["output"]["kind"] = value.pop("output_kind")
        return {"schema_version": SCHEMA_VERSION, **value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Manifest":
        """Read what ``to_json`` wrote.

        Raises:
            ArtifactError: another schema version, or a field missing or of the wrong kind.
        """
        version = value.get("schema_version")
        if version != SCHEMA_VERSION:
            raise ArtifactError(
                f"manifest has schema version {version}; this release reads {SCHEMA_VERSION}. Convert again"
            )
        try:
            return records.read(cls, {**value, "output_kind": value["output"]["kind"]})
        except SegfastError as error:
            raise ArtifactError(f"manifest is not valid: {error}") from error
        except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
            raise ArtifactError(f"manifest is not valid: {type(error).__name__} {error}") from error

    @classmethod
    def load(cls, artifact: Path) -> "Manifest":
        """Read an artifact folder's manifest and hold every file in it to its checksum.

        Raises:
            ArtifactError: no artifact there, a file missing, or one that is not what was exported.
        """
        if not artifact.is_dir():
            raise ArtifactError(f"no artifact folder at {artifact}")
        manifest = cls.from_json(read_json(artifact / FILE_NAME, "manifest"))
        if manifest.model_file not in manifest.files:
            raise ArtifactError(f"manifest in {artifact} gives no checksum for {manifest.model_file}")
        for name, digest in manifest.files.items():
            if not (artifact / name).is_file():
                raise ArtifactError(f"{artifact} lacks {name}, which its manifest names")
            if sha256(artifact / name) != digest:
                raise ArtifactError(f"{artifact / name} is not the file that was exported (sha256 differs)")
        return manifest

    def save(self, artifact: Path) -> "Manifest":
        """Write ``manifest.json`` last, with the checksum of every other file in the folder; return it."""
        files = {p.relative_to(artifact).as_posix(): sha256(p) for p in sorted(artifact.rglob("*")) if p.is_file()}
        files.pop(FILE_NAME, None)
        manifest = replace(self, files=files)
        write_json(artifact / FILE_NAME, manifest.to_json())
        return manifest
