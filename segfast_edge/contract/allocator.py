"""How a process gets its memory from the system. Standard library only."""

import ctypes
import sys

_MMAP_MAX, _TRIM_THRESHOLD = -4, -1  # mallopt's parameters, malloc.h


def keep_freed_memory() -> None:
    """Tell glibc to use freed memory again instead of giving it back; does nothing where there is no glibc.

    torch allocates and frees every map of a network each time it runs. Fetched anew from the system, they cost page
    faults: SegFast in TorchScript takes 37 ms at 224x224 with them and 26 ms without (one thread of a virtual
    machine), and a training step 105,000 of them, 15 % of its time (batches of 8 at 240x320 in bfloat16).
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(_MMAP_MAX, 0)
        library.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
