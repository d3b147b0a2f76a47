"""Allocator settings that keep the memory of a long run flat."""

from __future__ import annotations

import ctypes
import sys

import pyarrow as pa

# glibc's number for the size from which a block is mapped on its own (mallopt(3)).
_M_MMAP_THRESHOLD = -3
_MMAP_THRESHOLD_BYTES = 1 << 20


def limit_heap_growth() -> None:
    """Have large blocks mapped by the system one by one, and returned as soon as they are freed.

    For the whole process; may be repeated. Without it the tenth slice takes more memory than the
    first: a million persons took 610 MB where 200,000 took 551. There are two reasons. Arrow's own
    allocator keeps what it has had, some 100 MB after a slice of 100,000 persons. And glibc raises
    its threshold to the largest block ever freed. From then on columns are placed in a heap that
    one small object keeps from shrinking.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    if sys.platform == "linux":
        # musl has no mallopt, and maps large blocks by itself.
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _MMAP_THRESHOLD_BYTES)


def trim_heap() -> None:
    """Return unused heap memory to the system. Takes some milliseconds; call it between slices.

    What fifty slices leave behind adds up to a tenth of a slice.
    """
    pa.default_memory_pool().release_unused()
