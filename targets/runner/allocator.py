"""Keeping the C library's memory allocator from holding what the runner no longer needs."""

import contextlib
import ctypes
import sys

_M_ARENA_MAX = -8  # malloc.h
ARENAS = 2


def bound_arenas() -> None:
    """Let glibc have two heaps instead of eight per core; nothing is done elsewhere.

    Each thread that opens a model would get a heap of its own, which keeps most of what the model took after it is
    gone: on x86 with a float32 segfast through LiteRT, six reloads left 156 MB resident with the default and 106 with
    two heaps, of 107 before. The interpreter lets only one thread run Python at a time, so two heaps suffice.
    """
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):  # a C library without mallopt, such as musl
            ctypes.CDLL(None).mallopt(_M_ARENA_MAX, ARENAS)
