"""A ranking of the layers by the error that int8 causes in them, computed in torch for every runtime."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from segfast_edge.contract.shared.images import Frame
from segfast_edge.export.common.graph import Deployable
from segfast_edge.model.fake_int8 import rounded_input, rounded_weight

Weighted = nn.Conv2d | nn.ConvTranspose2d | nn.Linear
FRAMES = 8  # enough to rank layers by; the gate judges on its own data


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """A layer by its name in the deployed graph, and the noise that int8 in it alone puts on the logits.

    ``noise`` is the mean square of what changed over the mean square of the logits.
    """

    layer: str
    noise: float


def sensitivities(graph: Deployable, frames: Sequence[Frame]) -> list[Sensitivity]:
    """Rank the layers with weights, worst first, by quantizing one at a time.

    A layer's weights get one scale per output channel and its input one range over all ``frames``, as in the files.
    """
    chosen = [frames[int(index)] for index in np.linspace(0, len(frames) - 1, min(FRAMES, len(frames)))]
    batches = [torch.from_numpy(np.array(frame)[np.newaxis]) for frame in chosen]
    layers = {name: layer for name, layer in graph.named_modules() if isinstance(layer, Weighted)}
    with torch.inference_mode():
        ranges, exact = _observe(graph, layers, batches)
        power = sum(float(logits.square().mean()) for logits in exact)
        found = []
        for name, layer in layers.items():
            if name in ranges:
                with _Quantized(layer, ranges[name]):
                    pairs = zip(exact, map(graph.logits, batches), strict=True)
                    noise = sum(float((after - before).square().mean()) for before, after in pairs)
                found.append(Sensitivity(name, noise / power if power else 0.0))
    return sorted(found, key=lambda each: -each.noise)


def _observe(
    graph: Deployable, layers: dict[str, Any], batches: Sequence[Tensor]
) -> tuple[dict[str, tuple[float, float]], list[Tensor]]:
    """Return each layer's input range, zero included, and the exact logits of every batch."""
    ranges: dict[str, tuple[float, float]] = {}

    def watch(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def see(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            low, high = ranges.get(name, (0.0, 0.0))
            ranges[name] = min(low, float(inputs[0].min())), max(high, float(inputs[0].max()))

        return see

    hooks = [layer.register_forward_pre_hook(watch(name)) for name, layer in layers.items()]
    try:
        return ranges, [graph.logits(batch) for batch in batches]
    finally:
        for hook in hooks:
            hook.remove()


class _Quantized:
    """A layer whose weights and input are rounded to 256 steps while the block runs."""

    def __init__(self, layer: Any, extent: tuple[float, float]) -> None:
        self._layer, self._extent, self._weight = layer, extent, layer.weight

    def __enter__(self) -> None:
        self._layer.weight = nn.Parameter(rounded_weight(self._layer), requires_grad=False)
        self._hook = self._layer.register_forward_pre_hook(self._round)

    def __exit__(self, *_: object) -> None:
        self._hook.remove()
        self._layer.weight = self._weight

    def _round(self, _: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        return (rounded_input(inputs[0], *self._extent), *inputs[1:])
