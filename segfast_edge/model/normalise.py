"""Mean and standard deviation as a layer: the first one in training and in every exported graph."""

import torch
from torch import Tensor, nn

from segfast_edge.contract.preprocess import Preprocess


class Normalise(nn.Module):
    """``(pixel / 255 - mean) / std`` per channel, as one multiplication and one addition.

    It has no weights: its two constants follow the module to a device but stay out of the state dict, since the
    preprocessing is written beside the weights and nowhere twice.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self, preprocess: Preprocess) -> None:
        super().__init__()
        mean = torch.tensor(preprocess.mean, dtype=torch.float64).reshape(1, 3, 1, 1)
        std = torch.tensor(preprocess.std, dtype=torch.float64).reshape(1, 3, 1, 1)
        self.turns_round = preprocess.channel_order == "BGR"
        self.register_buffer("scale", (1 / (255 * std)).float(), persistent=False)
        self.register_buffer("shift", (-mean / std).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Take RGB of 0 to 255, N x 3 x H x W, uint8 or float; give float32, same shape, in the network's order."""
        pixels = x.to(torch.float32)
        if self.turns_round:  # by slices: more converters know these than a flip
            pixels = torch.cat([pixels[:, 2:], pixels[:, 1:2], pixels[:, :1]], 1)
        return pixels * self.scale + self.shift
