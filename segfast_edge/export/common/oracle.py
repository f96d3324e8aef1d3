"""The reference of a conversion: the network exactly as its user handed it in, run by torch before any change.

It shares nothing with the graphs that are exported: neither their normalisation nor a single module.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from segfast_edge.contract.preprocess import Preprocess
from segfast_edge.contract.shared.images import Frame
from segfast_edge.errors import ConversionError
from segfast_edge.export.common.converter_errors import running
from segfast_edge.export.common.parity import Logits, NamedFrame, Reference
from segfast_edge.export.common.reading import Reading

REPEATABLE = 1e-5  # of the largest logit: how far two runs of one network on one picture may differ


@dataclass(frozen=True, slots=True)
class Oracle:
    """A network in evaluation mode and float32 on the CPU, what it takes, and where in its output the logits are."""

    network: nn.Module
    preprocess: Preprocess
    reading: Reading

    def __post_init__(self) -> None:
        self.network.eval()
        self.network.to("cpu", torch.float32)

    def input(self, frame: Frame) -> torch.Tensor:
        """Return what the network takes for a frame of any size: normalised, float32 1 x 3 x H x W."""
        pixels = np.asarray(self.preprocess.image(frame), np.float32) / np.float32(255)
        if self.preprocess.channel_order == "BGR":
            pixels = pixels[..., ::-1]
        mean, std = (np.array(values, np.float32) for values in (self.preprocess.mean, self.preprocess.std))
        return torch.from_numpy(np.ascontiguousarray(((pixels - mean) / std).transpose(2, 0, 1)[np.newaxis]))

    def logits(self, frame: Frame) -> Logits:
        """Return the logits of a frame, height x width x classes.

        Raises:
            ConversionError: the network fails; the layer is named.
        """
        with torch.no_grad(), running(self.network, self.preprocess.size):
            logits = self.reading(self.network(self.input(frame)))
        return logits[0].detach().permute(1, 2, 0).contiguous().numpy().copy()

    def reference(self, frames: Sequence[NamedFrame]) -> Reference:
        """Return the logits of all frames.

        Raises:
            ConversionError: the network fails, gives NaN or infinity, or something else for a frame it has seen before.
        """
        logits = [self.logits(frame) for _, frame in frames]
        for (name, _), each in zip(frames, logits, strict=True):
            if not np.isfinite(each).all():
                raise ConversionError(
                    f"the network gives NaN or infinity for the frame '{name}', so nothing can be proven"
                )
        for _ in range(2):  # twice in a row, so that what changes with every second call is seen too
            again = self.logits(frames[0][1])
            if not np.allclose(again, logits[0], rtol=0, atol=REPEATABLE * float(np.abs(again).max())):
                raise ConversionError(
                    "the network gives different logits for the same picture when it is called again: its forward"
                    " changes its state or draws random numbers (dropout without training=self.training, for example),"
                    " which no artifact can do. In evaluation mode its output must depend on its input alone"
                )
        return Reference(frames, logits)
