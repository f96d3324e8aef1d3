"""From a checkpoint to an artifact folder that has been held to torch, or to nothing at all."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from segfast_edge.contract.manifest import GOLDEN_FRAME, GOLDEN_LABELS, Manifest
from segfast_edge.contract.shared.files import replacing_folder
from segfast_edge.contract.shared.images import Frame, Labels, write_picture
from segfast_edge.export import exporter
from segfast_edge.export.common.accuracy_gate import baseline, measure, measure_agreement
from segfast_edge.export.common.conversion import Conversion, begin
from segfast_edge.export.common.exporter import Exporter, quantizer
from segfast_edge.export.common.int8_search import Attempts, Measurement, in_int8
from segfast_edge.export.common.parity import HALF, difference, judge
from segfast_edge.export.common.prepared import PreparedNetwork
from segfast_edge.export.common.proof import prove
from segfast_edge.export.common.quantization import Gate, Quantization
from segfast_edge.export.common.request import ExportRequest
from segfast_edge.export.common.tuning import Tuning, candidate_requests, forget, tune
from segfast_edge.progress import Announce


def convert(
    network: PreparedNetwork, request: ExportRequest, *, announce: Announce = lambda _: None, by: Exporter | None = None
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
        return _make(begin(network, request, writer, folder, announce), network, request.quantization)


def convert_tuned(
    network: PreparedNetwork, request: ExportRequest, how: Tuning, *, announce: Announce = lambda _: None
) -> Manifest:
    """Time every lowering, then write the artifact with the fastest; all timings go into its provenance.

    Stopped in the middle it leaves a hidden folder beside ``request.folder``, and continues from there when called
    again.

    Raises:
        ConversionError: no lowering can be written and run; otherwise as ``convert``.
        TargetError: this machine or the host is not the target.
    """
    writer = exporter(request.format)
    requests = candidate_requests(network.graph.network, request)
    with replacing_folder(request.folder, overwrite=request.overwrite) as folder:
        begun = {name: begin(network, each, writer, each.folder, announce) for name, each in requests.items()}
        timings = tune(begun, request.quantization, how)
        chosen = replace(request, lowering=timings["chosen"], timings=timings)
        manifest = _make(begin(network, chosen, writer, folder, announce), network, request.quantization)
    forget(request.folder)
    return manifest


def _make(conversion: Conversion, network: PreparedNetwork, asked: Quantization | None) -> Manifest:
    """Prove the graph, write it, prove what was written, and add the golden frame that devices prove it by."""
    conversion.announce("comparing the graph with the network")
    for graph in conversion.graph.forms():
        prove(graph, network.oracle, network.expected, network.thresholds)
    manifest, golden = _in_float(conversion, network) if asked is None else _in_int8(conversion, network, asked)
    folder = conversion.folder
    (folder / GOLDEN_FRAME).parent.mkdir()
    write_picture(folder / GOLDEN_FRAME, network.expected.golden[0])
    write_picture(folder / GOLDEN_LABELS, golden)
    return manifest.save(folder)


def _in_float(conversion: Conversion, network: PreparedNetwork) -> tuple[Manifest, Labels]:
    """Write and judge a float artifact, by its own outputs and by the same graph's logits where it gives labels."""
    thresholds = HALF if conversion.draft.precision == "float16" else network.thresholds
    expected = network.expected.without_flat() if thresholds is HALF else network.expected
    conversion.announce(f"writing {conversion.format}")
    manifest = conversion.export()
    conversion.announce(f"comparing {conversion.format} with torch in a process of its own")
    labels = logits = difference(conversion.folder, expected, thresholds)
    if manifest.output_kind == "labels":
        with TemporaryDirectory(prefix="segfast-parity-") as name:
            conversion.giving_logits(Path(name)).export()
            logits = difference(Path(name), expected, thresholds)
    golden = labels.golden if thresholds is HALF else expected.golden[1]
    return replace(manifest, parity=judge(conversion.format, labels, logits, thresholds)), golden


def _in_int8(conversion: Conversion, network: PreparedNetwork, asked: Quantization) -> tuple[Manifest, Labels]:
    """Gather what quantizing takes, then write and judge an int8 artifact."""
    writer = quantizer(conversion.writer, conversion.format, asked.engine)
    conversion.announce("reading the calibration frames")
    frames = asked.frames(conversion.draft.preprocess)
    gate = _gate(conversion, network, asked, frames)
    return in_int8(Attempts(conversion, writer, asked, frames, network.expected, network.thresholds, gate))


def _gate(
    conversion: Conversion, network: PreparedNetwork, asked: Quantization, frames: Sequence[Frame]
) -> Measurement:
    """Measure the float network once, and return what measures an artifact against it and names the record."""
    gate = asked.gate
    if isinstance(gate, Gate):
        conversion.announce("measuring the checkpoint's mIoU")
        network.refuse_changed()
        before = baseline(network.path, gate)
        return lambda artifact: ("gate", measure(before, artifact, gate))
    conversion.announce("labelling the calibration frames in float")
    expected = [np.asarray(network.oracle.logits(frame).argmax(-1), np.uint8) for frame in frames]
    return lambda artifact: ("calibration_agreement", measure_agreement(artifact, frames, expected, gate))
