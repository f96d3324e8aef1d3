"""The device and number format of the arithmetic."""

import contextlib
from dataclasses import dataclass

import torch
from torch import nn

from segfast_edge.errors import SegfastError
from segfast_edge.model.torch_device import device_for
from segfast_edge.training.cpu_gradients import with_fast_depthwise, with_fast_upsampling
from segfast_edge.training.settings import Hardware


@dataclass(frozen=True, slots=True)
class Execution:
    """A device, and the type that autocast uses for convolutions; None keeps float32 throughout."""

    device: torch.device
    reduced: torch.dtype | None

    @property
    def cuda(self) -> bool:
        """Whether the device is an NVIDIA or ROCm GPU."""
        return self.device.type == "cuda"

    @property
    def precision(self) -> str:
        """``fp32``, ``bf16`` or ``fp16``."""
        return {None: "fp32", torch.bfloat16: "bf16", torch.float16: "fp16"}[self.reduced]

    def place(self, module: nn.Module) -> nn.Module:
        """Move a network to the device, its convolution weights in channels_last order, which is faster."""
        module = module.to(self.device)
        for weight in module.parameters():
            if weight.ndim == 4:
                weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        return with_fast_depthwise(with_fast_upsampling(module))

    def autocast(self) -> contextlib.AbstractContextManager[object]:
        """Return the context in which forward passes run."""
        if self.reduced is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self.reduced)

    def scaler(self) -> torch.amp.GradScaler:
        """Return the loss scaler, which does something for fp16 only."""
        return torch.amp.GradScaler(self.device.type, enabled=self.reduced is torch.float16)


def execution(hardware: Hardware, local_rank: int = 0) -> Execution:
    """Choose device and precision: bf16 if the processor computes in it, else fp16 on CUDA, else fp32.

    Raises:
        SegfastError: a device that is not there, or a precision it cannot train in.
    """
    device = device_for(hardware.device, local_rank)
    bf16 = device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)
    if device.type == "cpu":
        has = torch.cpu.get_capabilities()
        bf16 = bool(has.get("avx512_bf16") or has.get("amx_bf16"))
    match hardware.precision:
        case "fp16" if device.type != "cuda":
            raise SegfastError(f"--precision fp16 needs CUDA; {device.type} trains in bf16 or fp32")
        case "bf16" if device.type == "mps":
            raise SegfastError("--precision bf16 is not available on mps; use fp32")
        case "auto" if bf16:
            return Execution(device, torch.bfloat16)
        case "auto" if device.type == "cuda":
            return Execution(device, torch.float16)
        case "bf16":
            return Execution(device, torch.bfloat16)
        case "fp16":
            return Execution(device, torch.float16)
    return Execution(device, None)
