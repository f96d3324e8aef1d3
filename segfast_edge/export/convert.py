"""From a checkpoint to an artifact folder that has been held to torch, or to nothing at all."""

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from segfast_edge.contract.files import replacing_folder
from segfast_edge.contract.images import Labels, write_picture
from segfast_edge.contract.manifest import GOLDEN_FRAME, GOLDEN_LABELS, Manifest
from segfast_edge.export import Exporter, exporter
from segfast_edge.export.common.int8 import in_int8
from segfast_edge.export.common.job import ExportRequest, Job, Say, Source
from segfast_edge.export.common.parity import CONTINUOUS, DISCONTINUOUS, difference, judge

__all__ = ["ExportRequest", "Source", "convert"]


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
        job = Job(source, request, writer, folder, say)
        say("reading the network")
        manifest, golden = _in_float(job) if request.quantization is None else in_int8(job, request.quantization)
        (folder / GOLDEN_FRAME).parent.mkdir()
        write_picture(folder / GOLDEN_FRAME, source.expected.golden[0])
        write_picture(folder / GOLDEN_LABELS, golden)
        return manifest.save(folder)


def _in_float(job: Job) -> tuple[Manifest, Labels]:
    """Write and judge a float artifact, by its own outputs and by the same graph's logits where it gives labels."""
    request, expected = job.request, job.source.expected
    job.say(f"writing {request.format}")
    manifest = job.writer.export(job.graph(), job.draft(), job.folder).save(job.folder)
    job.say(f"comparing {request.format} with torch in a process of its own")
    thresholds = DISCONTINUOUS if job.source.graph.discontinuous else CONTINUOUS
    labels = logits = difference(job.folder, expected, thresholds)
    if request.output_kind == "labels":
        with TemporaryDirectory(prefix="segfast-parity-") as name:
            scores = Path(name)
            job.writer.export(job.graph("logits"), job.draft("logits"), scores).save(scores)
            logits = difference(scores, expected, thresholds)
    return replace(manifest, parity=judge(request.format, labels, logits, thresholds)), expected.golden[1]
