"""The processor that torch uses: the CPU, an NVIDIA or ROCm GPU, or Apple's."""

import torch

from segfast_edge.errors import SegfastError


def device_for(name: str, local_rank: int = 0) -> torch.device:
    """Return the device of that name; ``auto`` is a GPU if there is one.

    Raises:
        SegfastError: unknown, or not on this machine.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", local_rank)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise SegfastError(f"unknown device '{name}'. Known: auto, cpu, cuda, cuda:N, mps") from error
    if device.type not in ("cpu", "cuda", "mps"):
        raise SegfastError(f"device '{name}' is not supported. Known: auto, cpu, cuda, cuda:N, mps")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise SegfastError("device 'mps' does not exist on this machine; use --device auto")
    if device.type == "cuda":
        device = torch.device("cuda", local_rank if device.index is None else device.index)
        if not torch.cuda.is_available() or (device.index or 0) >= torch.cuda.device_count():
            raise SegfastError(f"device '{name}' does not exist on this machine; use --device auto")
    return device
