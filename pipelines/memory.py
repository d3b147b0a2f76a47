"""Where this process takes its memory from, and how soon it gives it back."""

from __future__ import annotations

import ctypes
import sys

import pyarrow as pa

# glibc's number for the size from which a block is mapped on its own (mallopt(3)).
_M_MMAP_THRESHOLD = -3
_MAPPED_FROM_BYTES = 1 << 20


def limit_heap_growth() -> None:
    """Have large blocks come from the system one by one and go back as soon as they are free, so
    that the tenth slice takes no more than the first. For the whole process; may be repeated.

    Arrow's own allocator keeps what it has had, some 100 MB after a slice of 100,000 persons. And
    glibc raises its threshold to the largest block ever freed: from then on columns stand in a heap
    that a single small object keeps from shrinking. Together they made a million persons take 610
    MB where 200,000 took 551.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    if sys.platform == "linux":
        # musl has no such threshold to set: it maps large blocks by itself.
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM_BYTES)


def trim_heap() -> None:
    """Give the system what small objects have left of the heap. Some milliseconds; between slices,
    because what stays behind each of fifty adds up to as much as a tenth of a slice."""
    pa.default_memory_pool().release_unused()
