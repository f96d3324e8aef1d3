"""One process or several under torchrun; alone, every function here does nothing.

Several processes give the result of one with the same global batch, except that batch normalisation sees
each process's share of the batch on CPUs (on CUDA it is converted to SyncBatchNorm, which sees all of it).
"""

import contextlib
import copy
import os
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch import distributed as dist
from torch.nn.parallel import DistributedDataParallel

from segfast_edge.errors import SegfastError


@dataclass(frozen=True, slots=True)
class World:
    """This process's place: ``rank`` of ``size`` among all, ``local_rank`` of ``local_size`` on its machine."""

    rank: int = 0
    size: int = 1
    local_rank: int = 0
    local_size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and reports progress."""
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Add ``values`` up over all processes, in place."""
        if self.size > 1:
            dist.all_reduce(values)
        return values

    def same_buffers(self, module: nn.Module) -> None:
        """Give every process the buffers (running statistics) of the first."""
        if self.size > 1:
            for buffer in module.buffers():
                dist.broadcast(buffer, 0)

    def barrier(self) -> None:
        """Wait for all processes."""
        if self.size > 1:
            dist.barrier()


@contextlib.contextmanager
def joined(device: str) -> Iterator[World]:
    """Join the processes that torchrun started, over NCCL for CUDA and gloo otherwise.

    Raises:
        SegfastError: more processes on this machine than GPUs.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size == 1:
        yield World()
        return
    local = int(os.environ.get("LOCAL_RANK", "0")), int(os.environ.get("LOCAL_WORLD_SIZE", str(size)))
    world = World(int(os.environ["RANK"]), size, *local)
    cuda = device.startswith("cuda")
    if cuda:
        if world.local_rank >= torch.cuda.device_count():
            raise SegfastError(
                f"process {world.local_rank} of this machine has no GPU; there are {torch.cuda.device_count()}."
                " Start no more processes than GPUs, or pass --device cpu"
            )
        torch.cuda.set_device(world.local_rank)
    dist.init_process_group("nccl" if cuda else "gloo")
    try:
        yield world
    finally:
        dist.destroy_process_group()


def wrap(module: nn.Module, world: World, device: torch.device, size: tuple[int, int]) -> nn.Module:
    """Let the processes share their gradients; alone, return the module as it is. ``size`` is that of its input."""
    if world.size == 1:
        return module
    ids = [device.index] if device.type == "cuda" else None
    unused = has_unused_weights(module, device, size)
    return DistributedDataParallel(module, device_ids=ids, find_unused_parameters=unused)


def has_unused_weights(module: nn.Module, device: torch.device, size: tuple[int, int]) -> bool:
    """Return whether some weights get no gradient, by trying it on a copy; processes would wait for it forever."""
    tried = copy.deepcopy(module).train()
    tried(torch.zeros(2, 3, *size, device=device)).sum().backward()
    return any(weight.grad is None for weight in tried.parameters() if weight.requires_grad)


def sharing(module: nn.Module, *, last: bool) -> contextlib.AbstractContextManager[object]:
    """Return the context for one part of a step: processes share their gradients in its ``last`` part."""
    if last or not isinstance(module, DistributedDataParallel):
        return contextlib.nullcontext()
    return module.no_sync()
