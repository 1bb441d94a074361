"""What the C library does with memory that is freed."""

from __future__ import annotations

import ctypes
import os
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
"""Numbers of ``mallopt`` in glibc's ``malloc.h``."""

_LARGEST_BLOCK: Final = 32 << 20
"""The most that glibc takes for the latter."""

_MOST: Final = (1 << 31) - 1


def keep_freed_memory() -> bool:
    """Let this process keep what it frees for what it takes next, on glibc; whether that was done.

    Otherwise large tensors of an update go back to the system when they are freed, and the system fills the
    same memory with zeros when the next update takes it: a fifth of the time of a pretraining update
    (``docs/speed_tables.md``). Memory at its peak is the same. Settings in the environment are left alone.
    """
    if "GLIBC_TUNABLES" in os.environ or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    try:
        set_option = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # another C library
        return False
    return bool(set_option(_MMAP_THRESHOLD, _LARGEST_BLOCK) and set_option(_TRIM_THRESHOLD, _MOST))
