"""Measures on the device which form of the transposed convolution is fastest."""

import contextlib
import logging
import random
import shutil
import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from torch import nn

from segfast_edge.contract.manifest import FILE_NAME
from segfast_edge.contract.shared.files import read_json, write_json
from segfast_edge.errors import ArtifactError, ConversionError, TargetError
from segfast_edge.export.common.conversion import Conversion
from segfast_edge.export.common.default_lowering import default_lowering
from segfast_edge.export.common.exporter import Int8Recipe, quantizer
from segfast_edge.export.common.lowerings import LOWERINGS
from segfast_edge.export.common.quantization import Quantization
from segfast_edge.export.common.request import ExportRequest
from segfast_edge.progress import Announce

FLOAT = "float32"  # beside the int8 candidates, to say whether int8 pays at all
RECORD = "timings.json"

_log = logging.getLogger(__name__)


class ArtifactTimer(Protocol):
    """Times an artifact on the device that it is for."""

    @property
    def conditions(self) -> Mapping[str, Any]:
        """Where and how it times: what the record names, and what a timing is not comparable without."""
        ...

    def median_ms(self, artifact: Path, announce: Announce) -> float:
        """Return the median latency in ms of one fresh process; TargetError if the runtime is missing or fails."""
        ...


@dataclass(frozen=True, slots=True)
class Tuning:
    """Settings of tuning: the timer, and the number of rounds, each in a separate process."""

    timer: ArtifactTimer
    rounds: int = 5

    def __post_init__(self) -> None:
        if not 1 <= self.rounds <= 100:
            raise TargetError(f"--tune-rounds {self.rounds} is outside 1 to 100")


@dataclass(slots=True)
class Timings:
    """The measurements so far; saved to disk after every process, so that a killed run continues from there."""

    folder: Path
    key: Mapping[str, Any]
    medians_ms: dict[str, list[float]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    @classmethod
    def resumed(cls, folder: Path, key: Mapping[str, Any]) -> "Timings":
        """Take up what is in ``folder`` if it was measured under the same key, else start again."""
        with contextlib.suppress(ArtifactError):
            value = read_json(folder / RECORD, "tuning record")
            if value.get("key") == key:
                return cls(folder, key, dict(value["medians_ms"]), dict(value["failed"]))
        shutil.rmtree(folder, ignore_errors=True)
        return cls(folder, key)

    def add(self, name: str, median_ms: float) -> None:
        """Keep one process's median."""
        self.medians_ms.setdefault(name, []).append(median_ms)
        self._save()

    def fail(self, name: str, reason: str) -> None:
        """Keep why a candidate is out."""
        self.failed[name] = reason
        self._save()

    def _save(self) -> None:
        value = {"key": dict(self.key), "medians_ms": self.medians_ms, "failed": self.failed}
        write_json(self.folder / RECORD, value)

    @property
    def median_ms(self) -> dict[str, float]:
        """Median over the rounds, per candidate still in."""
        return {name: statistics.median(each) for name, each in self.medians_ms.items() if name not in self.failed}


def candidates(network: nn.Module) -> list[str]:
    """Return the lowerings that differ for this network: one, where it has no transposed convolution."""
    has = any(isinstance(module, nn.ConvTranspose2d) for module in network.modules())
    return list(LOWERINGS) if has else ["native"]


def place(folder: Path) -> Path:
    """Return where the tuning of an artifact folder keeps its candidates until the artifact is there."""
    return folder.with_name(f".{folder.name}.tuning")


def forget(folder: Path) -> None:
    """Remove what the tuning of an artifact folder kept."""
    shutil.rmtree(place(folder), ignore_errors=True)


def candidate_requests(network: nn.Module, request: ExportRequest) -> dict[str, ExportRequest]:
    """Return a request per lowering, and for int8 one for the float32 artifact as it would be by default."""
    folder = place(request.folder)
    requests = {name: replace(request, folder=folder / name, lowering=name) for name in candidates(network)}
    if request.quantization is not None:
        plain = default_lowering(request.format)
        requests[FLOAT] = replace(request, folder=folder / FLOAT, quantization=None, lowering=plain)
    return requests


def tune(begun: Mapping[str, Conversion], asked: Quantization | None, how: Tuning) -> dict[str, Any]:
    """Time candidates in rounds of random order; return the record, ``chosen`` in it.

    A candidate that cannot be written or run is left out with its reason. What was measured stays in the folder above
    the candidates', to go on from if this is stopped; ``forget`` removes it.

    Raises:
        ConversionError: no candidate can be written and run.
    """
    folder = next(iter(begun.values())).folder.parent
    timings = Timings.resumed(folder, _key(begun, asked, how))
    for number in range(how.rounds):
        order = list(begun)
        random.Random(number).shuffle(order)
        for name in order:
            if name not in timings.failed and len(timings.medians_ms.get(name, ())) <= number:
                conversion = begun[name]
                conversion.announce(f"tuning: round {number + 1} of {how.rounds}, {name}")
                try:
                    _write(conversion, None if name == FLOAT else asked)
                    timings.add(name, how.timer.median_ms(conversion.folder, conversion.announce))
                except (ConversionError, TargetError) as error:
                    timings.fail(name, str(error))
    return _record(timings, how)


def _write(conversion: Conversion, asked: Quantization | None) -> None:
    """Write a candidate unless it is there, neither compared nor gated: only its speed is asked for."""
    folder = conversion.folder
    if (folder / FILE_NAME).is_file():
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if asked is None:
        conversion.export()
        return
    recipe = Int8Recipe(asked.frames(conversion.draft.preprocess), engine=asked.engine)
    writer = quantizer(conversion.writer, conversion.format, asked.engine)
    writer.quantize(conversion.graph, conversion.draft, folder, recipe).save(folder)


def _key(begun: Mapping[str, Conversion], asked: Quantization | None, how: Tuning) -> dict[str, Any]:
    """Return all that a timing depends on and that a later run could have changed."""
    conversion = next(iter(begun.values()))
    provenance = conversion.draft.provenance
    return {
        "checkpoint_sha256": provenance["checkpoint_sha256"],
        "format": conversion.format,
        "output": conversion.draft.output_kind,
        "calibration": None if asked is None else {**asked.calibration.describe(), "engine": asked.engine},
        "versions": provenance["versions"],
        **how.timer.conditions,
        "candidates": sorted(begun),
    }


def _record(timings: Timings, how: Tuning) -> dict[str, Any]:
    forms = {name: ms for name, ms in timings.median_ms.items() if name != FLOAT}
    if not forms:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in timings.failed.items())
        raise ConversionError(f"no candidate could be timed. {reasons}")
    chosen = min(forms, key=lambda name: forms[name])
    plain = timings.median_ms.get(FLOAT)
    if plain is not None and forms[chosen] >= plain:
        _log.warning(
            "int8 takes %.2f ms and float32 %.2f ms on %s: int8 is not faster",
            forms[chosen],
            plain,
            how.timer.conditions["target"],
        )
    return {
        "chosen": chosen,
        **how.timer.conditions,
        "rounds": how.rounds,
        "median_ms": timings.median_ms,
        "medians_ms": timings.medians_ms,
        "failed": timings.failed,
    }
