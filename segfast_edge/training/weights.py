"""Which weights are trained, and at what part of the learning rate: freezing, groups by name, layer-wise decay."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from segfast_edge.errors import SegfastError
from segfast_edge.training.recipe import Recipe


def freeze(module: nn.Module, prefixes: Sequence[str]) -> None:
    """Exclude the weights of the named modules from training.

    Raises:
        SegfastError: a prefix matches nothing, or nothing is left to train.
    """
    for prefix in prefixes:
        found = [weight for name, weight in module.named_parameters() if _within(name, prefix)]
        if not found:
            raise SegfastError(_no_match("--freeze", prefix, module))
        for weight in found:
            weight.requires_grad_(False)
    if prefixes and not any(weight.requires_grad for weight in module.parameters()):
        raise SegfastError(f"--freeze {','.join(prefixes)} freezes every weight of the network; leave some to train")


def set_training(module: nn.Module, frozen: Sequence[str]) -> None:
    """Put the network in training mode, except frozen modules: their running statistics stay and dropout is off."""
    module.train()
    for name, layer in module.named_modules():
        if any(_within(name, prefix) for prefix in frozen):
            layer.eval()


def optimiser(recipe: Recipe, module: nn.Module) -> torch.optim.Optimizer:
    """Return the recipe's optimiser; biases and normalisation weights are never decayed.

    Each group's ``share`` is the part of the learning rate that its weights get.

    Raises:
        SegfastError: a prefix of ``recipe.lr_groups`` matches nothing.
    """
    for prefix, _ in recipe.lr_groups:
        if not any(_within(name, prefix) for name, _ in module.named_parameters()):
            raise SegfastError(_no_match("--lr-groups", prefix, module))
    depths = _distances(module) if recipe.layer_decay < 1 else {}
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, weight in module.named_parameters():
        if weight.requires_grad:
            share = _share(recipe, name) * recipe.layer_decay ** depths.get(name, 0)
            groups.setdefault((recipe.weight_decay if weight.ndim > 1 else 0.0, share), []).append(weight)
    parts: list[dict[str, Any]] = [
        {"params": weights, "weight_decay": decay, "share": share} for (decay, share), weights in groups.items()
    ]
    match recipe.optimiser:
        case "adam":
            return torch.optim.Adam(parts, lr=recipe.lr, betas=(0.9, 0.999), eps=1e-8, fused=True)
        case "adamw":
            return torch.optim.AdamW(parts, lr=recipe.lr, betas=(0.9, 0.999), eps=1e-8, fused=True)
        case "sgd":
            return torch.optim.SGD(parts, lr=recipe.lr, momentum=0.9)


def trained(module: nn.Module) -> Iterator[Tensor]:
    """Return the weights that training changes."""
    return (weight for weight in module.parameters() if weight.requires_grad)


def _share(recipe: Recipe, name: str) -> float:
    """Return a weight's part of the learning rate: that of the longest prefix that matches."""
    shares = {"encoder": recipe.encoder_lr, **dict(recipe.lr_groups)}
    matching = [prefix for prefix in shares if _within(name, prefix)]
    return shares[max(matching, key=len)] if matching else 1.0


def _distances(module: nn.Module) -> dict[str, int]:
    """Return how many layers lie between each weight and the last layer of the encoder, or of a network without one.

    Layers are the direct children that have weights, in the order in which the network declares them. Weights after
    the encoder have the distance 0, and the encoder's last layer 1.
    """
    encoder = "encoder." if any(name.startswith("encoder.") for name, _ in module.named_parameters()) else ""
    named = [name for name, _ in module.named_parameters() if name.startswith(encoder)]
    layers = list(dict.fromkeys(name[len(encoder) :].partition(".")[0] for name in named))
    last = len(layers) - (0 if encoder else 1)
    return {name: last - layers.index(name[len(encoder) :].partition(".")[0]) for name in named}


def _within(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(prefix + ".")


def _no_match(flag: str, prefix: str, module: nn.Module) -> str:
    return f"{flag} {prefix} matches no weight of the network; its parts are {', '.join(_parts(module))}"


def _parts(module: nn.Module) -> Iterable[str]:
    """Return the names of the outermost modules that have weights, opened where there is only one."""
    names = [name for name, child in module.named_children() if next(child.parameters(), None) is not None]
    if len(names) == 1:
        inner = list(_parts(module.get_submodule(names[0])))
        return names + [f"{names[0]}.{name}" for name in inner]
    return names
