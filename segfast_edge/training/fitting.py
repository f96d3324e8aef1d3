"""When a GPU's memory does not hold a step: how many frames at once it does hold."""

from collections.abc import Callable

import torch


def advice(frames: int, parts: int, attempt: Callable[[int], None]) -> str:
    """Say what to do after memory ran out with ``frames`` frames in ``parts`` parts.

    ``attempt(count)`` computes a step's gradients for so many frames at once.
    """
    at_once = -(-frames // parts)
    return f"out of memory on {_device()} with {at_once} frames at once; {_way_out(frames, at_once, attempt)}"


def _way_out(frames: int, at_once: int, attempt: Callable[[int], None]) -> str:
    fits = at_once // 2
    while fits and not _fits(fits, attempt):
        fits //= 2
    if not fits:
        return "not even one fits. Choose a smaller --size, --crop or --model"
    parts = next(parts for parts in range(-(-frames // fits), frames + 1) if frames % parts == 0)
    return (
        f"{fits} at once fit. Continue with --resume --accumulate {parts}, which computes the same steps in parts,"
        f" or start again with --batch-size {fits}"
    )


def _fits(count: int, attempt: Callable[[int], None]) -> bool:
    _free()
    try:
        attempt(count)
    except torch.OutOfMemoryError:
        return False
    return True


def _free() -> None:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _device() -> str:
    if not torch.cuda.is_available():
        return "the device"
    total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
    return f"{torch.cuda.get_device_name()} ({total / 2**30:.0f} GiB)"
