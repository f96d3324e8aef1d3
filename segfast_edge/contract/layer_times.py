"""Time per layer, as the runtime executed it, and per kind of layer."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from segfast_edge.contract.shared import records

RESAMPLING = "resampling/"  # begins the names of operators that only enlarge logits: none is a layer of the network


@dataclass(frozen=True, slots=True)
class Layer:
    """One executed layer; a runtime fuses and splits, so these are its layers and not the exporter's.

    ``ms`` is the interquartile mean over the traced runs, ``kernel`` what the runtime says it ran, ``macs`` the
    multiply-accumulates of one inference if the shapes give them, ``precision`` what it computed in if
    the runtime tells (``float32``, ``bfloat16``, ``float16``, ``int8``). ``limit_gmacs_per_s`` is what the cores
    give in that precision at most, as measured.
    """

    name: str
    kind: str
    kernel: str
    ms: float
    macs: int | None = None
    precision: str | None = None
    limit_gmacs_per_s: float | None = None

    @property
    def gmacs_per_s(self) -> float | None:
        """Billions of multiply-accumulates a second; None if either is unknown."""
        return self.macs / self.ms / 1e6 if self.macs is not None and self.ms > 0 else None

    @property
    def share_of_limit(self) -> float | None:
        """What the layer reaches of the limit, 0 to 1; None if either is unknown."""
        rate, limit = self.gmacs_per_s, self.limit_gmacs_per_s
        return rate / limit if rate is not None and limit else None

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        value = records.written(self)
        return {"type": value.pop("kind"), **value}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Layer":
        """Read what ``to_json`` wrote; earlier reports have neither precision nor limit."""
        return records.read(cls, {**value, "kind": value["type"]}, ("precision", "limit_gmacs_per_s"))


def by_kind(layers: Sequence[Layer]) -> list[tuple[Layer, int]]:
    """Return the sum of each kind as one layer, with how many there are; the longest first."""
    kinds: dict[str, list[Layer]] = {}
    for layer in layers:
        kinds.setdefault(layer.kind, []).append(layer)
    sums = [(_sum(kind, members), len(members)) for kind, members in kinds.items()]
    return sorted(sums, key=lambda each: -each[0].ms)


def _sum(kind: str, layers: Sequence[Layer]) -> Layer:
    known = [layer.macs for layer in layers if layer.macs is not None]
    kernels = sorted({layer.kernel for layer in layers})
    limited = [layer for layer in layers if layer.macs and layer.limit_gmacs_per_s]
    whole = sum(layer.macs or 0 for layer in limited)
    # the rate at which these layers would take the least time, each at its own precision's limit
    limit = whole / sum((layer.macs or 0) / (layer.limit_gmacs_per_s or 1) for layer in limited) if limited else None
    ms = sum(layer.ms for layer in layers)
    return Layer(kind, kind, ", ".join(kernels), ms, sum(known) if known else None, limit_gmacs_per_s=limit)
