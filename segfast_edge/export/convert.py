"""From a checkpoint to an artifact folder that has been held to torch, or to nothing at all."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from segfast_edge.contract.manifest import GOLDEN_FRAME, GOLDEN_LABELS, Manifest
from segfast_edge.contract.shared.files import replacing_folder
from segfast_edge.contract.shared.images import Labels, write_picture
from segfast_edge.export import Exporter, exporter
from segfast_edge.export.common.int8 import in_int8
from segfast_edge.export.common.job import ExportRequest, Job, Source
from segfast_edge.export.common.parity import difference, judge
from segfast_edge.export.common.tuning import Tuning, forget, tune
from segfast_edge.progress import Announce

__all__ = ["ExportRequest", "Source", "convert", "convert_tuned"]


def convert(
    source: Source, request: ExportRequest, *, announce: Announce = lambda _: None, by: Exporter | None = None
) -> Manifest:
    """Write one artifact folder; ``by`` is an exporter other than the format's own.

    Raises:
        ConversionError: the tools are missing, or the network cannot be written in this format.
        ParityError: the artifact does not compute what torch computes; nothing is left.
        AccuracyGateError: it is int8 and loses more than its gate allows; nothing is left.
        ArtifactError: the folder holds something, is not writable, or the disk is full.
    """
    writer = by or exporter(request.format)
    with replacing_folder(request.folder, overwrite=request.overwrite) as folder:
        return _make(Job(source, request, writer, folder, announce))


def convert_tuned(
    source: Source, request: ExportRequest, how: Tuning, *, announce: Announce = lambda _: None
) -> Manifest:
    """Time every lowering, then write the artifact with the fastest; all timings go into its provenance.

    Stopped in the middle it leaves a hidden folder beside ``request.folder``, and goes on from there when called
    again.

    Raises:
        ConversionError: no lowering can be written and run; otherwise as ``convert``.
        TargetError: this machine or the host is not the target.
    """
    writer = exporter(request.format)
    with replacing_folder(request.folder, overwrite=request.overwrite) as folder:
        job = Job(source, request, writer, folder, announce)
        timings = tune(job, how)
        manifest = _make(replace(job, request=replace(request, lowering=timings["chosen"], timings=timings)))
    forget(request.folder)
    return manifest


def _make(job: Job) -> Manifest:
    job.announce("comparing the graph with the network")
    job.prove()
    asked, folder = job.request.quantization, job.folder
    manifest, golden = _in_float(job) if asked is None else in_int8(job, asked)
    (folder / GOLDEN_FRAME).parent.mkdir()
    write_picture(folder / GOLDEN_FRAME, job.source.expected.golden[0])
    write_picture(folder / GOLDEN_LABELS, golden)
    return manifest.save(folder)


def _in_float(job: Job) -> tuple[Manifest, Labels]:
    """Write and judge a float artifact, by its own outputs and by the same graph's logits where it gives labels."""
    request, expected = job.request, job.source.expected
    job.announce(f"writing {request.format}")
    manifest = job.writer.export(job.graph(), job.draft(), job.folder).save(job.folder)
    job.announce(f"comparing {request.format} with torch in a process of its own")
    thresholds = job.source.thresholds
    labels = logits = difference(job.folder, expected, thresholds)
    if request.output_kind == "labels":
        with TemporaryDirectory(prefix="segfast-parity-") as name:
            scores = Path(name)
            job.writer.export(job.graph("logits"), job.draft("logits"), scores).save(scores)
            logits = difference(scores, expected, thresholds)
    return replace(manifest, parity=judge(request.format, labels, logits, thresholds)), expected.golden[1]
