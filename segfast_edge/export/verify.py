"""Verify an existing artifact against the original network, layer by layer if asked."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from segfast_edge.contract.manifest import GOLDEN_FRAME, Manifest
from segfast_edge.contract.shared import records
from segfast_edge.contract.shared.images import Frame, read_frame
from segfast_edge.errors import ArtifactError
from segfast_edge.export.common.parity import HALF, Difference, agreement, difference
from segfast_edge.export.common.prepared import PreparedNetwork
from segfast_edge.export.intermediate import Intermediate, reader
from segfast_edge.model.plain import Absorbed

INT8_MARGIN = 0.01  # an int8 file may label so much fewer pixels alike than when it was made: kernels round differently
INT8_FLOOR = 0.95  # what counts where nothing is recorded

Values = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class LayerError:
    """How far what a file computes for a layer is from what the untouched network does, on the golden frame.

    ``snr_db`` is None where both are exactly alike or the network gives zeros, ``cosine`` where either gives zeros.
    """

    layer: str
    kind: str
    mean_squared_error: float
    snr_db: float | None
    cosine: float | None


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether the proof holds, and the figures; ``needed`` are the thresholds, ``unseen`` layers not in the file."""

    holds: bool
    found: Difference
    needed: Mapping[str, float]
    layers: tuple[LayerError, ...] = ()
    unseen: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        logits = {"logits_max_abs_diff": self.found.largest, "pixels_within": self.found.within}
        return {
            "holds": self.holds,
            **agreement(self.found),
            **({} if self.found.largest is None else logits),
            "needed": dict(self.needed),
            "layers": [records.written(each) for each in self.layers],
            "layers_not_in_the_file": list(self.unseen),
        }


def golden_frame(artifact: Path) -> Path:
    """Return the picture that an artifact brings along."""
    return artifact / GOLDEN_FRAME


def verify(artifact: Path, source: PreparedNetwork, *, layers: bool = False) -> Verification:
    """Compare an artifact with the network that it is said to be of, on the frames of a conversion.

    Raises:
        ArtifactError: it is damaged, or has other classes or another size than the network.
        TargetError: its runtime is missing, or shows no layers.
    """
    manifest = Manifest.load(artifact)
    _refuse_another(artifact, manifest, source)
    showing = reader(manifest.format) if layers else None
    integer = manifest.precision == "int8"
    thresholds = HALF if manifest.precision == "float16" else source.thresholds
    expected = source.expected.without_flat() if integer else source.expected
    found = difference(artifact, expected, thresholds)
    errors: tuple[LayerError, ...] = ()
    unseen: tuple[str, ...] = ()
    if showing is not None:
        frame = manifest.preprocess.image(read_frame(golden_frame(artifact)))
        shown = showing.values(artifact / manifest.model_file, np.array(frame)[np.newaxis])
        errors, unseen = _layer_errors(shown, source, read_frame(golden_frame(artifact)))
    if integer:
        recorded = manifest.parity.get("label_agreement")
        least = INT8_FLOOR if recorded is None else float(recorded) - INT8_MARGIN
        return Verification(found.agreement >= least, found, {"label_agreement": least}, errors, unseen)
    holds = found.worst_agreement >= thresholds.labels and (found.within is None or found.within >= thresholds.within)
    needed = {
        "label_agreement_worst_frame": thresholds.labels,
        "pixels_within": thresholds.within,
        "logits_max_abs_diff": found.allowed,
    }
    return Verification(holds, found, needed, errors, unseen)


def _refuse_another(artifact: Path, manifest: Manifest, source: PreparedNetwork) -> None:
    ours, theirs = manifest.preprocess.size, source.checkpoint.preprocess.size
    if ours != theirs:
        raise ArtifactError(
            f"{artifact} takes pictures of {ours[0]}x{ours[1]}, and the network to compare it with of"
            f" {theirs[0]}x{theirs[1]}"
        )
    if len(manifest.classes) != len(source.checkpoint.classes):
        raise ArtifactError(
            f"{artifact} has {len(manifest.classes)} classes, and the network to compare it with"
            f" {len(source.checkpoint.classes)}"
        )


def _layer_errors(
    shown: Sequence[Intermediate], source: PreparedNetwork, frame: Frame
) -> tuple[tuple[LayerError, ...], tuple[str, ...]]:
    """Compare layer by layer, in the order of execution; a layer that took over a norm is compared with the norm."""
    graph, oracle = source.graph, source.oracle
    taken = {m.into: name for name, m in graph.network.named_modules() if isinstance(m, Absorbed)}
    expected = _outputs(oracle.network, oracle.input(frame))
    values = {each.layer: each for each in shown}
    errors, unseen = [], []
    for name in expected:
        known, wanted = values.get(name), expected.get(taken.get(name, name))
        if known is None or wanted is None or known.value.shape != wanted.shape:
            unseen.append(name)
            continue
        kind = type(oracle.network.get_submodule(name)).__name__
        note = f" with {taken[name]}" if name in taken else ""
        wanted = wanted if known.limits is None else np.clip(wanted, *known.limits)
        errors.append(_error(name, kind + note, known.value, wanted))
    return tuple(errors), tuple(unseen)


def _outputs(network: nn.Module, x: torch.Tensor) -> dict[str, Values]:
    """Return what each layer without parts gives that is called once and gives one tensor."""
    found: dict[str, Values] = {}
    calls: Counter[str] = Counter()
    hooks = []

    def keep(name: str) -> Any:
        def hook(_: nn.Module, __: Any, output: Any) -> None:
            calls[name] += 1
            if isinstance(output, torch.Tensor) and output.is_floating_point():
                found[name] = output.detach().numpy().copy()  # what follows may work in place

        return hook

    for name, module in network.named_modules():
        if name and not [*module.children()]:
            hooks.append(module.register_forward_hook(keep(name)))
    try:
        with torch.no_grad():
            network(x)
    finally:
        for each in hooks:
            each.remove()
    return {name: value for name, value in found.items() if calls[name] == 1}


def _error(name: str, kind: str, value: Values, wanted: Values) -> LayerError:
    a, b = value.astype(np.float64).ravel(), wanted.astype(np.float64).ravel()
    noise, power = float(np.mean((a - b) ** 2)), float(np.mean(b**2))
    snr = 10 * math.log10(power / noise) if noise and power else None
    norms = float(np.linalg.norm(a) * np.linalg.norm(b))
    return LayerError(name, kind, noise, snr, float(a @ b) / norms if norms else None)
