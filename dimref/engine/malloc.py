"""The C library's allocation of memory: a step frees and allocates the same tens of megabytes over and over."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
LARGEST = 32 << 20  # bytes: what glibc takes at most


def keep_freed_memory() -> bool:
    """Let glibc hold freed memory for the next allocation; True where it does, False where there is no glibc.

    By default an array of some megabytes is mapped again each time, and every page of it costs a fault and is zeroed
    before it is written: as much time as one elementwise pass.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
