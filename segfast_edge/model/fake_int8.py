"""Layers that compute in float what int8 would give: weights and input rounded, gradients passed through.

A layer with weights rounds its weights to 127 steps either side of zero, one scale per output channel, and its input
to 256 steps over one range: what OpenVINO, TFLite, ONNX Runtime and TensorRT all do to a convolution. What they round
besides (sums, averages, the form of a lowered transposed convolution) differs and is left out. Scaling an output
channel scales its steps alike, so it makes no difference that batch normalisation is not folded in yet.

The rounding has the derivative of a straight line, within the range (Jacob et al., "Quantization and Training of
Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018). Our own and not NNCF's or
torchao's, so that the network keeps its layers and the names of its weights, and a checkpoint stays an ordinary one.
"""

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segfast_edge.errors import SegfastError

RANGE = "input_range"  # the buffer that such a layer has besides
FOLLOWS = 0.1  # how far a range moves towards that of the next batch


def with_fake_int8(network: nn.Module) -> nn.Module:
    """Make every convolution, transposed convolution and linear layer of ``network`` round, and freeze its statistics.

    It is changed in place and returned; its weights keep their names, the ranges are buffers named ``input_range``.

    Raises:
        SegfastError: it has no such layer.
    """
    found = 0
    for layer in network.modules():
        if type(layer) in _ROUNDING:  # a subclass may compute anything
            found += 1
            layer.register_buffer(RANGE, next(layer.parameters()).new_zeros(2))
        replacement = _ROUNDING.get(type(layer)) or _FROZEN.get(type(layer))
        if replacement is not None:
            layer.__class__ = replacement
    if not found:
        raise SegfastError("the network has no convolution and no linear layer, so there is nothing to train for int8")
    return network


def plain(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a state dict without the ranges: the weights of the network as it was built."""
    return {name: value for name, value in weights.items() if name.rpartition(".")[2] != RANGE}


def rounded_weight(layer: nn.Module) -> Tensor:
    """Return a layer's weights rounded to 127 steps either side of zero, one scale per output channel."""
    weight = cast(Tensor, layer.weight)
    if isinstance(layer, nn.ConvTranspose2d):  # in x out / groups x kernel: an output channel is (group, second axis)
        blocks = weight.unflatten(0, (layer.groups, -1))
        return _rounded(blocks, blocks.abs().amax((1, 3, 4), keepdim=True) / 127).flatten(0, 1)
    return _rounded(weight, weight.abs().amax(tuple(range(1, weight.ndim)), keepdim=True) / 127)


def _rounded(weight: Tensor, scale: Tensor) -> Tensor:
    return (weight / scale.clamp_min(torch.finfo(weight.dtype).tiny)).round() * scale


def rounded_input(x: Tensor, low: float | Tensor, high: float | Tensor) -> Tensor:
    """Return ``x`` rounded to 256 steps from ``low`` (at most 0) to ``high`` (at least 0); zero stays exact."""
    step = torch.as_tensor((high - low) / 255, dtype=x.dtype, device=x.device).clamp_min(torch.finfo(x.dtype).tiny)
    first = (low / step).round()
    return (x / step).round().clamp(first, first + 255) * step


def _seen(layer: nn.Module, x: Tensor) -> Tensor:
    """Return the input rounded, with gradients where it lies within the range; in training the range follows it."""
    extent = cast(Tensor, getattr(layer, RANGE))
    if layer.training:
        with torch.no_grad():
            now = torch.stack((x.amin().clamp_max(0), x.amax().clamp_min(0))).to(extent.dtype)
            if bool(now.isfinite().all()):  # else the loss says so, and where it began
                extent.copy_(torch.lerp(extent, now, FOLLOWS) if bool(extent.any()) else now)
    if not bool(extent.any()):
        return x
    low, high = extent.detach().clone().to(x.dtype)  # the next batch moves it before this one's gradients are taken
    within = torch.minimum(torch.maximum(x, low), high)
    return within + (rounded_input(x, low, high) - within).detach()


def _weights(layer: nn.Module) -> Tensor:
    weight = cast(Tensor, layer.weight)
    return weight + (rounded_weight(layer) - weight).detach()


class _Conv2d(nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - torch's name for it
        result: Tensor = self._conv_forward(_seen(self, input), _weights(self), self.bias)
        return result


class _ConvTranspose2d(nn.ConvTranspose2d):
    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:  # noqa: A002
        fields: dict[str, Any] = self._parameters
        kept, fields["weight"] = fields["weight"], _weights(self)  # torch's own forward works the output padding out
        try:
            return super().forward(_seen(self, input), output_size)
        finally:
            fields["weight"] = kept


class _Linear(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002
        return F.linear(_seen(self, input), _weights(self), self.bias)


class _Frozen(nn.Module):
    """A batch normalisation that keeps to its running statistics, which are those that are folded into weights."""

    def train(self, mode: bool = True) -> "_Frozen":  # noqa: ARG002, torch's signature
        return super().train(mode=False)


class _BatchNorm2d(_Frozen, nn.BatchNorm2d):
    pass


class _BatchNorm1d(_Frozen, nn.BatchNorm1d):
    pass


_ROUNDING: Mapping[type[nn.Module], type[nn.Module]] = {
    nn.Conv2d: _Conv2d,
    nn.ConvTranspose2d: _ConvTranspose2d,
    nn.Linear: _Linear,
}
_FROZEN: Mapping[type[nn.Module], type[nn.Module]] = {nn.BatchNorm2d: _BatchNorm2d, nn.BatchNorm1d: _BatchNorm1d}
