"""The tiny network as TorchScript, traced by torch."""

from pathlib import Path

from tiny_network import network


def write(path: Path) -> None:
    """Write the model file."""
    import torch

    module, example = network()
    torch.jit.freeze(torch.jit.trace(module, example)).save(str(path))
