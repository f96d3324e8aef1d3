"""Batch normalisation folded into the convolution before it, found by watching one run of the network."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from segfast_edge.export.common.converter_errors import running
from segfast_edge.model.blocks import DilatedConv2d
from segfast_edge.model.plain import Absorbed, is_plain, plain_copy, substitute

CONVOLUTIONS = (
    nn.Conv1d,
    nn.Conv2d,
    nn.Conv3d,
    nn.ConvTranspose1d,
    nn.ConvTranspose2d,
    nn.ConvTranspose3d,
    DilatedConv2d,
)
NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def fold_batchnorm(network: nn.Module, example: torch.Tensor) -> nn.Module:
    """Return a copy of an eval-mode network in which no foldable batch normalisation is left.

    A batch normalisation is foldable if it and a (transposed, grouped) convolution are exactly of the types above and
    plain, its input is that convolution's output and nothing else reads that, both run exactly once, it keeps running
    statistics, and nothing but the two reads their weights. One run on ``example`` shows which those are, whatever
    Python the network's ``forward`` is written in.
    """
    folded = plain_copy(network)
    names = {module: name for name, module in folded.named_modules()}
    for convolution, norm in _pairs(folded, example):
        _fuse(convolution, norm)
        stand_in: dict[nn.Module, nn.Module] = {norm: Absorbed(names[convolution])}
        substitute(folded, stand_in.get)
    return folded


class _Reads(TorchDispatchMode):
    """Counts how often each tensor is read by an operator; it keeps the tensors, so that no id is used twice."""

    def __init__(self) -> None:
        TorchDispatchMode.__init__(self)
        self.count: Counter[int] = Counter()
        self.kept: list[torch.Tensor] = []

    def add(self, values: object) -> None:
        """Count one read of every tensor in ``values``."""
        for value in tree_leaves(values):
            if isinstance(value, torch.Tensor):
                self.count[id(value)] += 1
                self.kept.append(value)

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        self.add((args, kwargs))
        return func(*args, **(kwargs or {}))


def _pairs(network: nn.Module, example: torch.Tensor) -> list[tuple[_ConvNd, _BatchNorm]]:
    calls: Counter[nn.Module] = Counter()
    producer: dict[int, _ConvNd] = {}
    consumed: list[tuple[_BatchNorm, int]] = []
    reads = _Reads()

    def record(module: nn.Module, inputs: tuple[Any, ...], named: dict[str, Any], output: Any) -> None:
        calls[module] += 1
        if isinstance(module, _ConvNd):
            producer[id(output)] = module
            reads.kept.append(output)
        elif isinstance(module, _BatchNorm) and module.running_mean is not None and not module.training:
            consumed.append((module, id(inputs[0] if inputs else named.get("input"))))

    watched = [module for module in network.modules() if is_plain(module, *CONVOLUTIONS, *NORMS)]
    hooks = [module.register_forward_hook(record, with_kwargs=True) for module in watched]
    try:
        with torch.no_grad(), running(network, (example.shape[2], example.shape[3])), reads:
            reads.add(network(example))  # whoever takes the output reads it
    finally:
        for hook in hooks:
            hook.remove()
    return [
        (producer[tensor], norm)
        for norm, tensor in consumed
        if tensor in producer
        and reads.count[tensor] == calls[norm] == calls[producer[tensor]] == 1
        and all(reads.count[id(value)] == 1 for value in _state(producer[tensor], norm))
    ]


def _state(*modules: nn.Module) -> list[torch.Tensor]:
    """Return what modules compute with; batch normalisation does not read how many batches it has seen."""
    named = [pair for module in modules for pair in (*module.named_parameters(), *module.named_buffers())]
    return [value for name, value in named if name != "num_batches_tracked"]


def _fuse(convolution: _ConvNd, norm: _BatchNorm) -> None:
    """Make a convolution do both, in place; computed in float64 so that rounding happens once."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = (norm.running_var.double() + norm.eps).rsqrt()
    scale = scale if norm.weight is None else scale * norm.weight.detach().double()
    shift = -norm.running_mean.double() * scale
    shift = shift if norm.bias is None else shift + norm.bias.detach().double()
    kind = convolution.weight.dtype
    weight = convolution.weight.detach().double()
    if convolution.transposed:  # in, out / groups, kernel...: the output channel is (group, second axis)
        blocks = weight.unflatten(0, (convolution.groups, -1))
        blocks = blocks * scale.view(convolution.groups, 1, -1, *[1] * len(convolution.kernel_size))
        weight = blocks.flatten(0, 1)
    else:
        weight = weight * scale.view(-1, 1, *[1] * len(convolution.kernel_size))
    if convolution.bias is not None:
        shift = shift + convolution.bias.detach().double() * scale
    convolution.weight = nn.Parameter(weight.to(kind), requires_grad=False)
    convolution.bias = nn.Parameter(shift.to(kind), requires_grad=False)
