"""Finished files of other people: one module per format, which opens a bare file and puts our two ends on.

A bare file takes normalised pictures, float32 1 x 3 x H x W, and gives logits 1 x classes x h x w.
"""

import importlib
from pathlib import Path
from typing import Protocol, cast

import torch

from segfast_edge.contract.formats import format_named
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.shared.found import names_in
from segfast_edge.errors import ArtifactError
from segfast_edge.export.common.reading import Reading


class BareFile(Protocol):
    """A file opened by its own runtime."""

    def run(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the outputs by name."""
        ...

    def wrap(self, manifest: Manifest, reading: Reading, folder: Path) -> Manifest:
        """Write the file with our ends into ``folder``; return the manifest with the tensors' names."""
        ...


class Opener(Protocol):
    """A module of this package."""

    def opened(self, path: Path, size: tuple[int, int]) -> BareFile:
        """Open a bare file for pictures of ``size``; ArtifactError if it takes none."""
        ...


def importers() -> list[str]:
    """Return the formats whose files can be imported."""
    return names_in(Path(__file__).parent)


def importer_of(path: Path) -> tuple[str, Opener]:
    """Return the format of a file, by its ending, and what opens it.

    Raises:
        ArtifactError: no file there, or of a format that cannot be imported.
    """
    if not path.is_file():
        raise ArtifactError(f"no model file at {path}")
    endings = {Path(format_named(name).model_file).suffix: name for name in importers()}
    if path.suffix not in endings:
        raise ArtifactError(f"{path} cannot be imported; files that can end in {', '.join(sorted(endings))}")
    name = endings[path.suffix]
    return name, cast(Opener, importlib.import_module(f"{__name__}.{name}"))
