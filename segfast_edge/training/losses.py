"""Losses as a sum and a count, so that several processes can divide by the global count and agree exactly."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from segfast_edge.errors import SegfastError
from segfast_edge.own_code import own_function
from segfast_edge.training.recipe import ClassWeights

NOT_COUNTED = -100  # the label torch's cross-entropy leaves out
_SURE = -math.log(0.7)  # OHEM: pixels predicted with less than 0.7 are hard
_SORTED = 4096  # Lovasz sorts about so many pixels per frame: all of 224x224 would cost as much as the network
_FOCUS = 2.0  # focal: the paper's gamma
_MISSED = 0.7  # Tversky: what a missed pixel costs; a wrong one costs the rest to 1
_LEAST_HARD = 16  # OHEM: but at least a sixteenth of a frame's pixels is used


@dataclass(frozen=True, slots=True)
class Term:
    """One part of a loss: ``total`` over this batch, to be divided by the global ``count``; both are scalars."""

    total: Tensor
    count: Tensor


def to_targets(labels: Tensor, ignored: int | None) -> Tensor:
    """Turn uint8 labels into int64 targets in which pixels that do not count are ``NOT_COUNTED``."""
    targets = labels.long()
    return targets if ignored is None else targets.masked_fill(targets == ignored, NOT_COUNTED)


def terms(loss: str, logits: Tensor, targets: Tensor, weights: Tensor | None) -> list[Term]:
    """Return the loss's parts; its value is the sum of their means.

    ``logits`` are N x classes x H x W, ``targets`` N x H x W from ``to_targets``, ``weights`` one per class or None.
    """
    logits = logits.float()
    if ":" in loss:
        return [_own(loss, logits, targets)]
    pixels = F.cross_entropy(logits, targets, weights, ignore_index=NOT_COUNTED, reduction="none")
    if loss == "ohem":
        return [_hard_pixels(pixels, targets)]
    if loss == "focal":
        pixels = pixels * (1 - _probability(logits, targets)) ** _FOCUS
    found = [Term(pixels.sum(), _weight_sum(targets, weights, pixels))]
    if loss == "ce+lovasz":
        step = max(1, round(math.sqrt(targets[0].numel() / _SORTED)))
        thin = (..., slice(None, None, step), slice(None, None, step))
        found.append(_lovasz(logits[thin], targets[thin]))
    if loss == "ce+dice":
        found.append(_dice(logits, targets))
    if loss == "ce+tversky":
        found.append(_tversky(logits, targets))
    return found


def part_counts(loss: str, targets: Tensor, weights: Tensor | None) -> list[Tensor]:
    """Return the counts that ``terms`` would give for these targets, as far as they follow from the targets.

    How many pixels are hard does not, so for ``ohem`` it is the number of frames.
    """
    like = torch.ones((), device=targets.device)
    frames = like * len(targets)
    pixels = frames if loss == "ohem" or ":" in loss else _weight_sum(targets, weights, like)
    return [pixels, frames] if loss.startswith("ce+") else [pixels]


def distillation(logits: Tensor, teacher: Tensor) -> Term:
    """Return the Kullback-Leibler divergence from the teacher's class probabilities, summed over all pixels."""
    student = F.log_softmax(logits.float(), 1)
    total = F.kl_div(student, F.log_softmax(teacher.float(), 1), reduction="sum", log_target=True)
    return Term(total, total.new_tensor(float(student.numel() // student.shape[1])))


def balanced_weights(shares: Tensor, weighing: ClassWeights = "enet") -> Tensor:
    """Return a weight per class from its share of the pixels, with a mean of 1; ``Recipe`` has the formulas.

    A class that never occurs has the weight 1: it takes part in no sum.
    """
    seen = shares > 0
    match weighing:
        case "enet":
            weights = 1 / torch.log(1.02 + shares)
        case "soft":
            weights = 1 / torch.log(1.10 + shares)
        case "median":
            weights = shares[seen].median() / shares
        case "none":
            weights = torch.ones_like(shares)
    weights = weights / weights[seen].mean()
    return torch.where(seen, weights, torch.ones_like(weights))


def _own(name: str, logits: Tensor, targets: Tensor) -> Term:
    values = own_function("loss", name, "function(logits, targets)")(logits, targets)
    if not isinstance(values, Tensor) or values.shape != logits.shape[:1]:
        shape = tuple(values.shape) if isinstance(values, Tensor) else type(values).__name__
        raise SegfastError(f"loss '{name}' gave {shape}; expected one value for each of {len(logits)} frames")
    return Term(values.sum(), values.new_tensor(float(len(values))))


def _weight_sum(targets: Tensor, weights: Tensor | None, like: Tensor) -> Tensor:
    counted = targets[targets != NOT_COUNTED]
    return like.new_tensor(float(counted.numel())) if weights is None else weights[counted].sum()


def _hard_pixels(pixels: Tensor, targets: Tensor) -> Term:
    """Keep each frame's pixels whose loss is over ``_SURE``, and at least a sixteenth of those that count."""
    losses, counted = pixels.flatten(1), (targets != NOT_COUNTED).flatten(1)
    ranked = losses.masked_fill(~counted, -1.0).sort(1, descending=True).values
    counts = counted.sum(1, keepdim=True)
    place = torch.arange(ranked.shape[1], device=ranked.device)
    kept = ((ranked > _SURE) | (place < counts // _LEAST_HARD)) & (place < counts)
    return Term((ranked * kept).sum(), kept.sum().to(pixels.dtype))


def _probability(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the probability of each pixel's own class, N x H x W; pixels that do not count have any."""
    return logits.softmax(1).gather(1, targets.clamp(min=0)[:, None])[:, 0]


def _one_hot(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return probabilities and truth, both N x classes x pixels and 0 at pixels that do not count, and what occurs.

    The last says which classes a frame has, N x classes: 1 or 0.
    """
    classes = torch.arange(logits.shape[1], device=logits.device)[:, None]
    flat = targets.flatten(1)[:, None]
    truth = (flat == classes).to(logits.dtype)
    return logits.softmax(1).flatten(2) * (flat != NOT_COUNTED), truth, truth.amax(2)


def _mean_over_present(values: Tensor, present: Tensor) -> Term:
    """Average N x classes over the classes that occur in each frame, and sum over frames; an empty frame adds 0."""
    per_frame = (values * present).sum(1) / present.sum(1).clamp(min=1)
    return Term(per_frame.sum(), values.new_tensor(float(len(values))))


def _lovasz(logits: Tensor, targets: Tensor) -> Term:
    """Lovasz-softmax of each frame over its classes (Berman et al. 2018, equations 8 to 12).

    A pixel that does not count has no error. It therefore comes last in every order, where it changes nothing.
    """
    probabilities, truth, present = _one_hot(logits, targets)
    errors, order = (truth - probabilities).abs().sort(dim=2, descending=True, stable=True)
    ranked = truth.gather(2, order)
    total = ranked.sum(2, keepdim=True)
    union = total + (1 - ranked).cumsum(2)
    jaccard = 1 - (total - ranked.cumsum(2)) / union
    steps = torch.cat((jaccard[..., :1], jaccard[..., 1:] - jaccard[..., :-1]), 2)
    return _mean_over_present((errors * steps).sum(2), present)


def _dice(logits: Tensor, targets: Tensor) -> Term:
    """Soft Dice loss of each frame over its classes (Milletari et al. 2016, with plain sums)."""
    probabilities, truth, present = _one_hot(logits, targets)
    overlap = 2 * (probabilities * truth).sum(2) + 1
    return _mean_over_present(1 - overlap / (probabilities.sum(2) + truth.sum(2) + 1), present)


def _tversky(logits: Tensor, targets: Tensor) -> Term:
    """Tversky loss of each frame over its classes (Salehi et al. 2017, equation 3): missed pixels cost more."""
    probabilities, truth, present = _one_hot(logits, targets)
    hits = (probabilities * truth).sum(2)
    missed, wrong = truth.sum(2) - hits, probabilities.sum(2) - hits
    whole = hits + _MISSED * missed + (1 - _MISSED) * wrong
    return _mean_over_present(1 - hits / whole.clamp(min=1e-12), present)
