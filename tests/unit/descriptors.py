"""Which descriptors this process has open."""

from __future__ import annotations

import gc
from pathlib import Path

__all__ = ["open_here"]


def open_here() -> int:
    """Count the open descriptors, without those of what is only garbage by now."""
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))
