"""An int8 artifact: quantized, compared with torch, and held to the gate, with some layers kept float if necessary."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from segfast_edge.contract.manifest import Manifest
from segfast_edge.contract.shared.images import Frame, Labels
from segfast_edge.errors import AccuracyGateError
from segfast_edge.export.common.conversion import Conversion
from segfast_edge.export.common.exporter import Int8Recipe, Quantizer
from segfast_edge.export.common.parity import Reference, Thresholds, agreement, difference
from segfast_edge.export.common.quantization import Quantization
from segfast_edge.export.common.sensitivity import Sensitivity, sensitivities

Measurement = Callable[[Path], tuple[str, dict[str, Any]]]

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Attempts:
    """Files written one over the other, each with other layers left in float.

    ``gate`` measures an artifact and returns the name and the content of its record in the manifest.
    """

    conversion: Conversion
    writer: Quantizer
    asked: Quantization
    frames: Sequence[Frame]
    expected: Reference
    thresholds: Thresholds
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
        """Write, compare and measure one model; AccuracyGateError if it loses too much."""
        conversion = self.conversion
        note = f", {len(kept)} layers in float" if kept else ""
        conversion.announce(f"quantizing {conversion.format} on {len(self.frames)} frames{note}")
        recipe = Int8Recipe(self.frames, [each.layer for each in kept], self.asked.engine)
        folder = conversion.folder
        manifest = self.writer.quantize(conversion.graph, self._draft(), folder, recipe).save(folder)
        conversion.announce(f"comparing {conversion.format} with torch in a process of its own")
        found = difference(folder, self.expected.without_flat(), self.thresholds)
        parity = agreement(found) | self._gate(len(kept))
        if kept:
            parity["kept_float"] = [{"layer": each.layer, "noise": each.noise} for each in kept]
            parity["drop_by_layers_kept_float"] = {str(count): drop for count, drop in sorted(self.drops.items())}
        return replace(manifest, parity=parity), found.golden

    def _draft(self) -> Manifest:
        draft = self.conversion.draft
        calibration = {**self.asked.calibration.describe(), "used": len(self.frames)}
        engine = {} if self.asked.engine is None else {"engine": self.asked.engine}
        return replace(draft, provenance={**draft.provenance, **engine, "calibration": calibration})

    def _gate(self, kept: int) -> dict[str, Any]:
        try:
            name, record = self.gate(self.conversion.folder)
        except AccuracyGateError as error:
            self.failures.append(error)
            self.drops[kept] = error.figures["drop"]
            raise
        self.drops[kept] = record["drop"]
        return {name: record}


def in_int8(attempts: Attempts) -> tuple[Manifest, Labels]:
    """Write an int8 model; return its manifest, and its own labels of the golden frame for devices to prove it by.

    Raises:
        ConversionError: the format's tool cannot quantize this network.
        AccuracyGateError: it loses more than the gate allows, with ``search`` whichever layers stay float.
    """
    try:
        return attempts.make(())
    except AccuracyGateError:
        if not attempts.asked.search:
            raise
    attempts.conversion.announce("ranking layers by the error that int8 causes")
    ranked = sensitivities(attempts.conversion.graph, attempts.frames)
    count = fewest(lambda number: attempts.passes(ranked[:number]), len(ranked))
    if count is None:
        last = attempts.failures[-1]
        raise AccuracyGateError(f"{last}, with all {len(ranked)} layers in float", last.figures)
    if count == len(ranked):
        _log.warning("the gate passes only with all %d layers in float: nothing is gained over a float file", count)
    return attempts.make(ranked[:count])


def fewest(passes: Callable[[int], bool], most: int) -> int | None:
    """Return the smallest number from 1 to ``most`` that passes, by doubling and then halving; None if none does.

    More is taken to be at least as good, which is what ranking by sensitivity makes likely.
    """
    low, high = 0, 1
    while not passes(high):
        if high == most:
            return None
        low, high = high, min(2 * high, most)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if passes(middle) else (middle, high)
    return high
