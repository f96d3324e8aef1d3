"""From a checkpoint to an artifact folder that has been held to torch, or to nothing at all."""

import datetime
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from segfast_edge import __version__
from segfast_edge.contract.files import replacing_folder, sha256
from segfast_edge.contract.images import read_frame, write_picture
from segfast_edge.contract.manifest import GOLDEN_FRAME, GOLDEN_LABELS, Manifest, OutputKind, TensorSpec
from segfast_edge.export import Exporter, exporter
from segfast_edge.export.common.defaults import default_lowering
from segfast_edge.export.common.graph import Deployable, deployable
from segfast_edge.export.common.int8 import Quantization, measure, quantizer
from segfast_edge.export.common.metadata import versions
from segfast_edge.export.common.parity import (
    CONTINUOUS,
    DISCONTINUOUS,
    Difference,
    Reference,
    Thresholds,
    agreement,
    difference,
    judge,
    parity_frames,
    reference,
    scene_frame,
)
from segfast_edge.model.checkpoint import Checkpoint

Say = Callable[[str], None]


class Source:
    """A checkpoint made ready once for any number of formats.

    ``golden`` is a picture that goes into the artifact and through it; a drawn street scene where it is None.
    """

    def __init__(self, checkpoint: Path, golden: Path | None = None) -> None:
        self.path = checkpoint
        self.checkpoint = Checkpoint.load(checkpoint)
        self.sha256 = sha256(checkpoint)
        preprocess = self.checkpoint.preprocess
        self._golden = scene_frame(preprocess) if golden is None else read_frame(golden)

    @cached_property
    def graph(self) -> Deployable:
        """The graph to deploy, its transposed convolutions as they are."""
        return deployable(self.checkpoint)

    @cached_property
    def expected(self) -> Reference:
        """The frames that parity is measured on, and what torch makes of them."""
        return reference(self.graph, parity_frames(self._golden, self.checkpoint.preprocess))


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """What to make and where.

    ``lowering`` None takes the measured default, ``quantization`` None gives float32, ``command`` goes into the
    provenance.
    """

    format: str
    folder: Path
    output_kind: OutputKind = "labels"
    lowering: str | None = None
    overwrite: bool = False
    quantization: Quantization | None = None
    command: str = ""

    @property
    def precision(self) -> str:
        """What the file will hold."""
        return "int8" if self.quantization else "float32"

    @property
    def form(self) -> str:
        """The lowering asked for, or the measured default."""
        return self.lowering or default_lowering(self.format, self.precision)


def convert(
    source: Source, request: ExportRequest, *, say: Say = lambda _: None, by: Exporter | None = None
) -> Manifest:
    """Write one artifact folder; ``say`` hears each step, ``by`` is an exporter other than the format's own.

    Raises:
        ConversionError: the tools are missing, or the network cannot be written in this format.
        ParityError: the artifact does not compute what torch computes; nothing is left.
        ArtifactError: the folder holds something, is not writable, or the disk is full.
    """
    writer = by or exporter(request.format)
    with replacing_folder(request.folder, overwrite=request.overwrite) as folder:
        say("reading the network")
        graph = source.graph.with_output(request.output_kind)
        graph.lowering = request.form
        manifest = _write(source, request, writer, graph, folder, say)
        manifest = replace(manifest, provenance={**manifest.provenance, "versions": _versions(writer)})
        manifest = manifest.save(folder)
        say(f"comparing {request.format} with torch in a process of its own")
        thresholds = DISCONTINUOUS if source.graph.discontinuous else CONTINUOUS
        found = difference(folder, source.expected, thresholds)
        if request.quantization is None:
            parity = _parity(source, request, writer, found, thresholds)
        else:
            parity = _loss(source, request.quantization, folder, found, say)
        frame, labels = source.expected.golden
        (folder / GOLDEN_FRAME).parent.mkdir()
        write_picture(folder / GOLDEN_FRAME, frame)
        # a device proves itself on these: float must give what torch gives, int8 what it gave here
        write_picture(folder / GOLDEN_LABELS, labels if request.quantization is None else found.golden)
        return replace(manifest, parity=parity).save(folder)


def _write(
    source: Source, request: ExportRequest, writer: Exporter, graph: Deployable, folder: Path, say: Say
) -> Manifest:
    draft = _draft(source, request)
    if request.quantization is None:
        say(f"writing {request.format}")
        return writer.export(graph, draft, folder)
    by = quantizer(writer, request.format)
    say("reading the calibration frames")
    frames = request.quantization.frames(source.checkpoint.preprocess)
    say(f"quantizing {request.format} on {len(frames)} frames")
    calibration = {**request.quantization.calibration.describe(), "used": len(frames)}
    draft = replace(draft, provenance={**draft.provenance, "calibration": calibration})
    return by.quantize(graph, draft, folder, frames)


def _draft(source: Source, request: ExportRequest) -> Manifest:
    checkpoint, labels = source.checkpoint, request.output_kind == "labels"
    size = checkpoint.preprocess.size
    shape = (1, *size) if labels else (1, *size, len(checkpoint.classes))
    return Manifest(
        format=request.format,
        input=TensorSpec("frames", (1, *size, 3), "uint8", "NHWC"),
        output=TensorSpec(request.output_kind, shape, "uint8" if labels else "float32", "NHW" if labels else "NHWC"),
        output_kind=request.output_kind,
        preprocess=checkpoint.preprocess,
        classes=checkpoint.classes,
        precision=request.precision,
        provenance={
            "network": checkpoint.network,
            "protocol": checkpoint.protocol,
            "checkpoint": source.path.name,
            "checkpoint_sha256": source.sha256,
            "training": checkpoint.provenance,
            "lowering": request.form,
            "command": request.command,
            "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        },
    )


def _versions(writer: Exporter) -> dict[str, str]:
    return {"segfast-edge": __version__, **versions(writer.TOOLS)}


def _parity(
    source: Source, request: ExportRequest, writer: Exporter, labels: Difference, thresholds: Thresholds
) -> dict[str, Any]:
    """Judge a float artifact, by its own outputs and by the same graph's logits where it gives labels."""
    if request.output_kind == "logits":
        return judge(request.format, labels, labels, thresholds)
    with TemporaryDirectory(prefix="segfast-parity-") as name:
        folder = Path(name)
        graph = source.graph.with_output("logits")
        graph.lowering = request.form
        draft = _draft(source, replace(request, output_kind="logits"))
        writer.export(graph, draft, folder).save(folder)
        return judge(request.format, labels, difference(folder, source.expected, thresholds), thresholds)


def _loss(source: Source, asked: Quantization, folder: Path, labels: Difference, say: Say) -> dict[str, Any]:
    """Record how an int8 artifact's labels compare with torch's; whether that is good enough is the gate's to say."""
    record = agreement(labels)
    if asked.gate is None:
        return record
    say("measuring mIoU before and after")
    return {**record, "gate": measure(source.path, folder, asked.gate)}
