"""An int8 artifact: quantized, compared with torch, and held to the gate, with layers kept float where it must be."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from segfast_edge.contract.formats import format_named, integer_formats
from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.shared.images import Frame, Labels
from segfast_edge.errors import AccuracyGateError, ConversionError, unknown
from segfast_edge.export import Exporter
from segfast_edge.export.common.accuracy_gate import baseline, measure, measure_agreement
from segfast_edge.export.common.job import Job
from segfast_edge.export.common.parity import agreement, difference
from segfast_edge.export.common.quantization import Gate, Quantization, Quantizer, Recipe
from segfast_edge.export.common.sensitivity import Sensitivity, fewest, sensitivities

Measurement = Callable[[Path], tuple[str, dict[str, Any]]]

_log = logging.getLogger(__name__)


def in_int8(job: Job, asked: Quantization) -> tuple[Manifest, Labels]:
    """Write an int8 model; return its manifest, and its own labels of the golden frame for devices to prove it by.

    Raises:
        ConversionError: the format has no int8, or its tool cannot quantize this network.
        AccuracyGateError: it loses more than the gate allows, with ``search`` whichever layers stay float.
        DataError: the calibration frames are not to be had.
    """
    writer = quantizer(job.writer, job.request.format, asked.engine)
    job.announce("reading the calibration frames")
    frames = asked.frames(job.source.checkpoint.preprocess)
    attempts = _Attempts(job, asked, writer, frames, _gate_of(job, asked, frames))
    try:
        return attempts.make(())
    except AccuracyGateError:
        if not asked.search:
            raise
    job.announce("ranking layers by what int8 does to them")
    ranked = sensitivities(job.source.graph, frames)
    count = fewest(lambda number: attempts.passes(ranked[:number]), len(ranked))
    if count is None:
        last = attempts.failures[-1]
        raise AccuracyGateError(f"{last}, with all {len(ranked)} layers in float", last.figures)
    if count == len(ranked):
        _log.warning("the gate passes only with all %d layers in float: nothing is gained over a float file", count)
    return attempts.make(ranked[:count])


def quantizer(writer: Exporter, name: str, engine: str | None = None) -> Quantizer:
    """Return the exporter as one that can quantize; ConversionError where it cannot, or not for ``engine``."""
    if not hasattr(writer, "quantize"):
        raise ConversionError(f"format {name} has no int8; --int8 works with {', '.join(integer_formats())}")
    engines = format_named(name).integer_engines
    if engine is not None and engine not in engines:
        raise ConversionError(
            unknown("engine", engine, engines)
            if engines
            else f"int8 in format {name} is the same for every engine; leave --engine {engine} out"
        )
    return cast(Quantizer, writer)


@dataclass(slots=True)
class _Attempts:
    """Files written one over the other, with ever other layers left in float."""

    job: Job
    asked: Quantization
    writer: Quantizer
    frames: Sequence[Frame]
    gate: Measurement
    failures: list[AccuracyGateError] = field(default_factory=list)
    drops: dict[int, float] = field(default_factory=dict)

    def passes(self, kept: Sequence[Sensitivity]) -> bool:
        """Say whether a model with these layers in float gets through the gate."""
        try:
            self.make(kept)
        except AccuracyGateError:
            return False
        return True

    def make(self, kept: Sequence[Sensitivity]) -> tuple[Manifest, Labels]:
        """Write, compare and measure one model; AccuracyGateError where it loses too much."""
        job = self.job
        note = f", {len(kept)} layers in float" if kept else ""
        job.announce(f"quantizing {job.request.format} on {len(self.frames)} frames{note}")
        recipe = Recipe(self.frames, [each.layer for each in kept], self.asked.engine)
        draft = self._draft()
        manifest = self.writer.quantize(job.graph(), draft, job.folder, recipe).save(job.folder)
        job.announce(f"comparing {job.request.format} with torch in a process of its own")
        found = difference(job.folder, job.source.expected.without_flat(), job.source.thresholds)
        parity = agreement(found) | self._gate(len(kept))
        if kept:
            parity["kept_float"] = [{"layer": each.layer, "noise": each.noise} for each in kept]
            parity["drop_by_layers_kept_float"] = {str(count): drop for count, drop in sorted(self.drops.items())}
        return replace(manifest, parity=parity), found.golden

    def _draft(self) -> Manifest:
        draft = self.job.draft()
        calibration = {**self.asked.calibration.describe(), "used": len(self.frames)}
        engine = {} if self.asked.engine is None else {"engine": self.asked.engine}
        return replace(draft, provenance={**draft.provenance, **engine, "calibration": calibration})

    def _gate(self, kept: int) -> dict[str, Any]:
        try:
            name, record = self.gate(self.job.folder)
        except AccuracyGateError as error:
            self.failures.append(error)
            self.drops[kept] = error.figures["drop"]
            raise
        self.drops[kept] = record["drop"]
        return {name: record}


def _gate_of(job: Job, asked: Quantization, frames: Sequence[Frame]) -> Measurement:
    """Measure the float network once, and return what measures an artifact against it and names the record."""
    gate, source = asked.gate, job.source
    if isinstance(gate, Gate):
        job.announce("measuring the checkpoint's mIoU")
        source.refuse_changed()
        before = baseline(source.path, gate)
        return lambda artifact: ("gate", measure(before, artifact, gate))
    job.announce("labelling the calibration frames in float")
    expected = [source.oracle.logits(frame).argmax(-1) for frame in frames]
    return lambda artifact: ("calibration_agreement", measure_agreement(artifact, frames, expected, gate))
