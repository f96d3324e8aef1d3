"""The first weights of a training, from a checkpoint of ours or from a plain state dict."""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from segfast_edge.contract.classes import ClassSet, find_name
from segfast_edge.errors import SegfastError
from segfast_edge.model import build
from segfast_edge.model.checkpoint import Checkpoint, plain_weights
from segfast_edge.training.settings import TrainingSettings

_log = logging.getLogger(__name__)
_NAMED = 12  # names that a message lists


def first_weights(path: Path, settings: TrainingSettings, module: nn.Module, classes: ClassSet) -> dict[str, Tensor]:
    """Return the checkpoint's weights for ``module``; classes of the same name keep theirs, others those drawn.

    A plain state dict, and with ``settings.strict`` off a checkpoint of another network, gives the weights that match.

    Names may differ in case, as in Sky and sky; a log line has those that matched nothing.

    Raises:
        SegfastError: the checkpoint is of another network, or of no class of this training.
    """
    weights = plain_weights(path)
    if weights is not None:
        return _matching(path, weights, module, strict=settings.strict)
    checkpoint, network = Checkpoint.load(path), settings.model
    if checkpoint.network != network and settings.strict:
        raise SegfastError(
            f"{path} holds {checkpoint.network}; this training is of {network}. Pass --strict no to take what matches"
        )
    if checkpoint.network != network:
        return _matching(path, checkpoint.weights, module, strict=False)
    before = checkpoint.classes.names
    if before == classes.names:
        return checkpoint.module().state_dict()
    places = [find_name(name, before) for name in classes.names]
    pairs = [(row, place) for row, place in enumerate(places) if place is not None]
    if not pairs:
        raise SegfastError(
            f"{path} has none of this training's classes ({', '.join(classes.names)}); its own are {', '.join(before)}"
        )
    _tell_unmatched(path, classes.names, before, places)
    rows, rows_before = (list(column) for column in zip(*pairs, strict=True))
    drawn, weights = module.state_dict(), dict(checkpoint.module().state_dict())
    other = build(network, len(before) + 1).state_dict()
    for key, value in weights.items():
        if other[key].shape != value.shape:  # it has a row per class
            weights[key] = drawn[key].clone()
            weights[key][rows] = value[rows_before]
    return weights


def _tell_unmatched(path: Path, names: Sequence[str], before: Sequence[str], places: Sequence[int | None]) -> None:
    new = [name for name, place in zip(names, places, strict=True) if place is None]
    dropped = [name for place, name in enumerate(before) if place not in places]
    if new or dropped:
        _log.warning(
            "%s: %d of %d classes matched by name; start at random: %s; left out: %s",
            path, len(names) - len(new), len(names), ", ".join(new) or "none", ", ".join(dropped) or "none",
        )  # fmt: skip


def _matching(path: Path, weights: Mapping[str, Tensor], module: nn.Module, *, strict: bool) -> dict[str, Tensor]:
    """Return the module's weights, those of ``weights`` with the same name and shape instead of those drawn.

    Raises:
        SegfastError: something does not match and ``strict`` is on, or nothing matches.
    """
    drawn = module.state_dict()
    common = drawn.keys() & weights.keys()
    taken = {name: weights[name] for name in common if weights[name].shape == drawn[name].shape}
    found = (
        ("missing from the file", [name for name in drawn if name not in weights]),
        ("of another shape", [name for name in drawn if name in common and name not in taken]),
        ("unknown to the network", [name for name in weights if name not in drawn]),
    )
    said = "; ".join(f"{len(names)} {what}: {_some(names)}" for what, names in found if names)
    if not taken:
        raise SegfastError(f"no weight in {path} has the name and shape of one of the network's; {said}")
    if said and strict:
        raise SegfastError(f"{path} does not match the network: {said}. Pass --strict no to take the rest")
    if said:
        _log.warning("%s: %d of %d weights match, the rest start at random; %s", path, len(taken), len(drawn), said)
    return {**drawn, **taken}


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
