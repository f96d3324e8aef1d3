"""The exponential moving average of a network's weights, which is what gets validated and kept."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn


class Average:
    """A copy of a network whose weights follow it slowly; integer buffers are copied as they are.

    The decay rises from 0.1 to ``decay`` over the first steps, so that the random start is soon forgotten.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.module = copy.deepcopy(module).eval().requires_grad_(False)
        self._decay = decay

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Move towards ``module`` after its ``step``-th update, counted from 1."""
        weight = 1 - min(self._decay, (1 + step) / (10 + step))
        pairs = list(zip(_tensors(self.module), _tensors(module), strict=True))
        floats = [(mine, theirs.to(mine.dtype)) for mine, theirs in pairs if mine.is_floating_point()]
        torch._foreach_lerp_([mine for mine, _ in floats], [theirs for _, theirs in floats], weight)
        for mine, theirs in pairs:
            if not mine.is_floating_point():
                mine.copy_(theirs)

    def state(self) -> dict[str, Tensor]:
        """Return the averaged weights by name."""
        return self.module.state_dict()

    def load(self, weights: Mapping[str, Tensor]) -> None:
        """Continue from what ``state`` gave."""
        self.module.load_state_dict(weights)


def _tensors(module: nn.Module) -> list[Tensor]:
    return [*module.parameters(), *module.buffers()]
