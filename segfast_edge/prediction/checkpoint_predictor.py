"""A checkpoint run by torch; artifacts do without this module, and without torch."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segfast_edge.contract.shared.images import Frame, Labels
from segfast_edge.model.checkpoint import Checkpoint
from segfast_edge.model.normalise import Normalise
from segfast_edge.model.torch_device import device_for

SCALES = (0.75, 1.0, 1.25)


def checkpoint_labels(
    path: Path, device_name: str, averaged: tuple[str, ...] = ()
) -> tuple[Checkpoint, Callable[[Frame], Labels]]:
    """Open a checkpoint, and return it with the function that labels a frame at the network's size in float32.

    ``averaged`` may name ``flip`` and ``scales``: copies of the frame whose probabilities are averaged.

    Raises:
        ArtifactError: the file is damaged or not a checkpoint.
        SegfastError: this computer has no device of that name.
    """
    device = device_for(device_name)
    checkpoint = Checkpoint.load(path)
    network = checkpoint.module().to(device)
    normalise = Normalise(checkpoint.preprocess).to(device)

    @torch.inference_mode()
    def label(frame: Frame) -> Labels:
        pixels = torch.from_numpy(np.array(checkpoint.preprocess.image(frame)))
        logits = _averaged(network, normalise(pixels.to(device).permute(2, 0, 1)[None]), averaged)
        return np.asarray(logits.argmax(1)[0].to(torch.uint8).cpu().numpy(), np.uint8)

    return checkpoint, label


def _averaged(network: nn.Module, x: Tensor, variants: tuple[str, ...]) -> Tensor:
    """Return logits of N x 3 x H x W, or probabilities averaged over flipped and resized copies."""
    if not variants:
        logits: Tensor = network(x)
        return logits
    size, total = x.shape[-2:], torch.zeros(())
    for scale in SCALES if "scales" in variants else (1.0,):
        resized = x if scale == 1 else F.interpolate(x, scale_factor=scale, mode="bilinear", align_corners=False)
        for flipped in (False, True) if "flip" in variants else (False,):
            scores = network(resized.flip(-1) if flipped else resized).softmax(1)
            scores = F.interpolate(scores.flip(-1) if flipped else scores, size, mode="bilinear", align_corners=False)
            total = total.to(scores.device) + scores
    return total
