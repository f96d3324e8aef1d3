"""Batch normalisation folded into the convolution before it, found by watching one run of the network."""

import copy
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def fold_batchnorm(network: nn.Module, example: torch.Tensor) -> nn.Module:
    """Return a copy of an eval-mode network in which no foldable batch normalisation is left.

    A batch normalisation is foldable where its input is the output of a (transposed, grouped) convolution
    that nothing else reads, both run exactly once, and it keeps running statistics. One run on ``example``
    shows which those are, whatever Python the network's ``forward`` is written in.
    """
    folded = copy.deepcopy(network).eval()
    for convolution, norm in _pairs(folded, example):
        _replace(folded, convolution, _fused(convolution, norm))
        _replace(folded, norm, nn.Identity())
    return folded


class _Reads(TorchDispatchMode):
    """Counts how often each tensor is read by an operator; it keeps the tensors, so that no id is used twice."""

    def __init__(self) -> None:
        TorchDispatchMode.__init__(self)
        self.count: Counter[int] = Counter()
        self.kept: list[torch.Tensor] = []

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        for value in tree_leaves((args, kwargs)):
            if isinstance(value, torch.Tensor):
                self.count[id(value)] += 1
                self.kept.append(value)
        return func(*args, **(kwargs or {}))


def _pairs(network: nn.Module, example: torch.Tensor) -> list[tuple[_ConvNd, _BatchNorm]]:
    calls: Counter[nn.Module] = Counter()
    producer: dict[int, _ConvNd] = {}
    consumed: list[tuple[_BatchNorm, int]] = []
    reads = _Reads()

    def record(module: nn.Module, inputs: tuple[Any, ...], output: Any) -> None:
        calls[module] += 1
        if isinstance(module, _ConvNd):
            producer[id(output)] = module
            reads.kept.append(output)
        elif isinstance(module, _BatchNorm) and module.running_mean is not None:
            consumed.append((module, id(inputs[0])))

    watched = [module for module in network.modules() if isinstance(module, _ConvNd | _BatchNorm)]
    hooks = [module.register_forward_hook(record) for module in watched]
    try:
        with torch.no_grad(), reads:
            network(example)
    finally:
        for hook in hooks:
            hook.remove()
    return [
        (producer[tensor], norm)
        for norm, tensor in consumed
        if tensor in producer and reads.count[tensor] == calls[norm] == calls[producer[tensor]] == 1
    ]


def _fused(convolution: _ConvNd, norm: _BatchNorm) -> _ConvNd:
    """Return the convolution that does both, computed in float64 so that rounding happens once."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    scale = scale if norm.weight is None else scale * norm.weight.detach().double()
    shift = -norm.running_mean.double() * scale
    shift = shift if norm.bias is None else shift + norm.bias.detach().double()
    fused = copy.deepcopy(convolution)
    weight = fused.weight.detach().double()
    if fused.transposed:  # in, out / groups, kernel...: the output channel is (group, second axis)
        blocks = weight.unflatten(0, (fused.groups, -1))
        blocks = blocks * scale.view(fused.groups, 1, -1, *[1] * len(fused.kernel_size))
        weight = blocks.flatten(0, 1)
    else:
        weight = weight * scale.view(-1, 1, *[1] * len(fused.kernel_size))
    if fused.bias is not None:
        shift = shift + fused.bias.detach().double() * scale
    fused.weight = nn.Parameter(weight.to(convolution.weight.dtype), requires_grad=False)
    fused.bias = nn.Parameter(shift.to(convolution.weight.dtype), requires_grad=False)
    return fused


def _replace(root: nn.Module, old: nn.Module, new: nn.Module) -> None:
    """Put ``new`` at every name under which ``old`` is registered."""
    for parent in list(root.modules()):
        for name, child in list(parent._modules.items()):
            if child is old:
                setattr(parent, name, new)
