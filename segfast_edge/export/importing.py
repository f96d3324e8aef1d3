"""From a finished file of somebody else to an artifact that was held to the bare file in its own runtime."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from torch import nn

from segfast_edge import __version__
from segfast_edge.contract.classes import ClassSet
from segfast_edge.contract.formats import format_named
from segfast_edge.contract.manifest import GOLDEN_FRAME, GOLDEN_LABELS, Manifest, OutputKind, TensorSpec
from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.contract.shared.files import replacing_folder, sha256
from segfast_edge.contract.shared.images import read_frame, write_picture
from segfast_edge.export import exporter
from segfast_edge.export.common.converter_packages import recorded_tools, require
from segfast_edge.export.common.metadata import versions
from segfast_edge.export.common.oracle import Oracle
from segfast_edge.export.common.parity import CONTINUOUS, Reference, difference, judge, parity_frames, scene_frame
from segfast_edge.export.common.reading import ANY_OUTPUT, OutputChoice, Reading, reading_of
from segfast_edge.export.imported import BareFile, importer_of


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What to import, what it takes and tells apart, and where the artifact goes."""

    path: Path
    folder: Path
    preprocess: Preprocess
    classes: ClassSet
    choice: OutputChoice = ANY_OUTPUT
    golden: Path | None = None
    assumed: Sequence[str] = ()
    command: str = ""
    overwrite: bool = False


class _Bare(nn.Module):
    """A bare file where the oracle has a network."""

    def __init__(self, file: BareFile) -> None:
        super().__init__()
        self._file = file

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        """Run it."""
        return self._file.run(x)


def import_file(request: ImportRequest) -> Manifest:
    """Put our ends on a file, prove the result equal to the bare file, and write the artifact.

    Raises:
        ArtifactError: the file is missing, or takes or gives something else.
        ConversionError: its output has no logits of so many classes.
        ParityError: with our ends it computes something else; nothing is left.
    """
    name, opener = importer_of(request.path)
    exporter(name)  # whose packages are needed
    require(format_named(name).converter, format_named(name).extra)
    preprocess = request.preprocess
    bare = opener.opened(request.path, preprocess.size)
    golden = scene_frame(preprocess) if request.golden is None else read_frame(request.golden)
    network = _Bare(bare)
    output = network(Oracle(network, preprocess, Reading()).input(golden))
    choice = (
        request.choice if len(output) > 1 else replace(request.choice, key=request.choice.key or next(iter(output)))
    )
    reading = reading_of(output, len(request.classes), preprocess.size, choice)
    expected = Oracle(network, preprocess, reading).reference(parity_frames(golden, preprocess))
    draft = _draft(name, request, "labels", reading)
    with replacing_folder(request.folder, overwrite=request.overwrite) as folder:
        manifest = _proven(bare, draft, reading, expected, folder)
        (folder / GOLDEN_FRAME).parent.mkdir()
        write_picture(folder / GOLDEN_FRAME, expected.golden[0])
        write_picture(folder / GOLDEN_LABELS, expected.golden[1])
        return manifest.save(folder)


def _proven(bare: BareFile, draft: Manifest, reading: Reading, expected: Reference, folder: Path) -> Manifest:
    """Write labels, and logits for the proof alone, and compare both with the bare file."""
    manifest = bare.wrap(draft, reading, folder).save(folder)
    labels = difference(folder, expected, CONTINUOUS)
    with TemporaryDirectory(prefix="segfast-parity-") as name:
        scored = replace(draft, output=_output(draft, "logits"), output_kind="logits")
        bare.wrap(scored, reading, Path(name)).save(Path(name))
        logits = difference(Path(name), expected, CONTINUOUS)
    return replace(manifest, parity=judge(draft.format, labels, logits, CONTINUOUS))


def _draft(name: str, request: ImportRequest, kind: OutputKind, reading: Reading) -> Manifest:
    size = request.preprocess.size
    return Manifest(
        format=name,
        input=TensorSpec("frames", (1, *size, 3), "uint8", "NHWC"),
        output=TensorSpec("labels", (1, *size), "uint8", "NHW"),
        output_kind=kind,
        preprocess=request.preprocess,
        classes=request.classes,
        provenance={
            "network": request.path.name,
            "imported": {"file": request.path.name, "sha256": sha256(request.path)},
            "assumed": [*request.assumed, *reading.assumed],
            "versions": {"segfast-edge": __version__, **versions(recorded_tools(name, exporter(name)))},
            "command": request.command,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        },
    )


def _output(draft: Manifest, kind: OutputKind) -> TensorSpec:
    return TensorSpec(kind, (1, *draft.preprocess.size, len(draft.classes)), "float32", "NHWC")
