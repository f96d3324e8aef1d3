"""Settings of glibc's memory allocator. Standard library only."""

import contextlib
import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8  # mallopt's parameters, malloc.h
ARENAS = 2


def keep_freed_memory() -> None:
    """Tell glibc to use freed memory again instead of giving it back; nothing is done elsewhere.

    torch allocates and frees every map of a network each time it runs. Fetched again from the system, they cost page
    faults: SegFast in TorchScript takes 37 ms at 224x224 with them and 26 ms without (one thread of a virtual
    machine), and a training step 105,000 of them, 15 % of its time (batches of 8 at 240x320 in bfloat16).
    """
    _set(_MMAP_MAX, 0)
    _set(_TRIM_THRESHOLD, 2**31 - 1)


def bound_arenas() -> None:
    """Let glibc have two heaps instead of eight per core; nothing is done elsewhere.

    Each thread that opens a model would get a heap of its own, which keeps most of what the model took after it is
    gone: on x86 with a float32 segfast through LiteRT, six reloads left 156 MB resident with the default and 106 with
    two heaps, of 107 before. The interpreter lets only one thread run Python at a time, so two heaps suffice.
    """
    _set(_ARENA_MAX, ARENAS)


def _set(parameter: int, value: int) -> None:
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # a C library without mallopt, such as musl
            ctypes.CDLL(None).mallopt(parameter, value)
