"""Losses as a sum and a count, so that several processes can divide by the global count and agree exactly."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from segfast_edge.training.recipe import Loss

NOT_COUNTED = -100  # the label torch's cross-entropy leaves out
_SURE = -math.log(0.7)  # OHEM: pixels predicted with less than 0.7 are hard
_SORTED = 4096  # Lovasz sorts about so many pixels per frame: all of 224x224 would cost as much as the network
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


def terms(loss: Loss, logits: Tensor, targets: Tensor, weights: Tensor | None) -> list[Term]:
    """Return the loss's parts; its value is the sum of their means.

    ``logits`` are N x classes x H x W, ``targets`` N x H x W from ``to_targets``, ``weights`` one per class or None.
    """
    logits = logits.float()
    pixels = F.cross_entropy(logits, targets, weights, ignore_index=NOT_COUNTED, reduction="none")
    if loss == "ohem":
        return [_hard_pixels(pixels, targets)]
    found = [Term(pixels.sum(), _weight_sum(targets, weights, pixels))]
    if loss == "ce+lovasz":
        step = max(1, round(math.sqrt(targets[0].numel() / _SORTED)))
        thin = (..., slice(None, None, step), slice(None, None, step))
        found.append(_per_frame([_lovasz(*pair) for pair in _counted(logits[thin], targets[thin])], logits))
    if loss == "ce+dice":
        found.append(_per_frame([_dice(*pair) for pair in _counted(logits, targets)], logits))
    return found


def distillation(logits: Tensor, teacher: Tensor) -> Term:
    """Return the Kullback-Leibler divergence from the teacher's class probabilities, summed over all pixels."""
    student = F.log_softmax(logits.float(), 1)
    total = F.kl_div(student, F.log_softmax(teacher.float(), 1), reduction="sum", log_target=True)
    return Term(total, total.new_tensor(float(student.numel() // student.shape[1])))


def balanced_weights(shares: Tensor) -> Tensor:
    """Return a weight per class from its share of the pixels, 1 / ln(1.02 + share) as in ENet (Paszke et al. 2016)."""
    weights = 1 / torch.log(1.02 + shares)
    return weights / weights.mean()


def _weight_sum(targets: Tensor, weights: Tensor | None, like: Tensor) -> Tensor:
    counted = targets[targets != NOT_COUNTED]
    return like.new_tensor(float(counted.numel())) if weights is None else weights[counted].sum()


def _hard_pixels(pixels: Tensor, targets: Tensor) -> Term:
    total, count = pixels.new_zeros(()), pixels.new_zeros(())
    for frame, target in zip(pixels, targets, strict=True):
        values = frame[target != NOT_COUNTED]
        least = values.numel() // _LEAST_HARD
        hard = values[values > _SURE]
        if hard.numel() < least:
            hard = values.topk(least).values
        total, count = total + hard.sum(), count + hard.numel()
    return Term(total, count)


def _counted(logits: Tensor, targets: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Return per frame the probabilities, classes x pixels, and targets of the pixels that count."""
    pairs = []
    for scores, target in zip(logits.softmax(1).flatten(2), targets.flatten(1), strict=True):
        counted = target != NOT_COUNTED
        pairs.append((scores, target) if bool(counted.all()) else (scores[:, counted], target[counted]))
    return pairs


def _per_frame(values: list[Tensor], like: Tensor) -> Term:
    return Term(torch.stack(values).sum(), like.new_tensor(float(len(values))))


def _present(probabilities: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Keep the classes that occur in the frame: their probabilities and their truth as 0 and 1."""
    present = torch.unique(targets)
    truth = (targets[None] == present[:, None]).to(probabilities.dtype)
    return probabilities[present], truth


def _lovasz(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Lovasz-softmax of one frame over its classes (Berman et al. 2018, equations 8 to 12)."""
    if targets.numel() == 0:
        return probabilities.sum() * 0
    chosen, truth = _present(probabilities, targets)
    errors, order = (truth - chosen).abs().sort(1, descending=True)
    ranked = truth.gather(1, order)
    total = ranked.sum(1, keepdim=True)
    missed = total - ranked.cumsum(1)
    union = total + (1 - ranked).cumsum(1)
    jaccard = 1 - missed / union
    steps = torch.cat((jaccard[:, :1], jaccard[:, 1:] - jaccard[:, :-1]), 1)
    return (errors * steps).sum(1).mean()


def _dice(probabilities: Tensor, targets: Tensor) -> Tensor:
    """Soft Dice loss of one frame over its classes (Milletari et al. 2016, with plain sums)."""
    if targets.numel() == 0:
        return probabilities.sum() * 0
    chosen, truth = _present(probabilities, targets)
    overlap = 2 * (chosen * truth).sum(1) + 1
    return (1 - overlap / (chosen.sum(1) + truth.sum(1) + 1)).mean()
