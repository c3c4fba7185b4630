"""Freed memory stays with the process, which the C library otherwise gives back to the system.

A training step on a CPU allocates and frees the same large tensors again and again. glibc gives blocks of their size
back to the system when they are freed (see mallopt(3)), so every page of the next one costs a page fault and is filled
with zeros. How much that takes depends on the machine: from nothing to a fifth of a step (`last benchmark allocator`).
"""

import ctypes
import os
import sys
from collections.abc import Mapping

# Of malloc.h: from which size a block is the system's own, and how much free memory is kept at the end of the heap.
_MMAP_THRESHOLD, _TRIM_THRESHOLD = -3, -1
_LARGEST_KEPT = (2**30, 2**25)  # blocks above it are given back; older ones of glibc refuse the first
_ALL = -1
_SETTINGS = ("MALLOC_TRIM_THRESHOLD_", "MALLOC_MMAP_THRESHOLD_", "MALLOC_MMAP_MAX_", "MALLOC_TOP_PAD_")


def keep_freed_memory(environment: Mapping[str, str] = os.environ) -> bool:
    """Let this process keep the memory that it frees, about the most it had in use, and tell whether it does.

    It has no effect where the C library is not glibc, or where the user has set how malloc gives memory back.
    """
    if any(name in environment for name in _SETTINGS) or "glibc.malloc" in environment.get("GLIBC_TUNABLES", ""):
        return False
    if not _is_glibc():
        return False
    mallopt = ctypes.CDLL(None).mallopt
    # The second setting alone would keep glibc from raising the first by itself, as it does for blocks up to 32 MiB.
    return any(mallopt(_MMAP_THRESHOLD, size) for size in _LARGEST_KEPT) and bool(mallopt(_TRIM_THRESHOLD, _ALL))


def _is_glibc() -> bool:
    if sys.platform != "linux":
        return False
    try:
        return bool(os.confstr("CS_GNU_LIBC_VERSION"))
    except (ValueError, OSError):  # other C libraries do not have this name
        return False
