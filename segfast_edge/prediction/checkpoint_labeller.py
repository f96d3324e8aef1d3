"""A checkpoint run by torch; artifacts do without this module, and without torch."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from segfast_edge.contract.images import Frame, Labels
from segfast_edge.model.checkpoint import Checkpoint
from segfast_edge.model.normalise import Normalise
from segfast_edge.model.torch_device import device_for


def checkpoint_labels(path: Path, device_name: str) -> tuple[Checkpoint, Callable[[Frame], Labels]]:
    """Open a checkpoint, and return it with the function that labels a frame at the network's size in float32.

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
        logits = network(normalise(pixels.to(device).permute(2, 0, 1)[None]))
        return np.asarray(logits.argmax(1)[0].to(torch.uint8).cpu().numpy(), np.uint8)

    return checkpoint, label
