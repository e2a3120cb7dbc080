"""How many descriptors and how much memory a process has: read from /proc."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["open_descriptors", "resident_memory"]

_PAGE = os.sysconf("SC_PAGE_SIZE")


def open_descriptors(pid: int, proc: Path = Path("/proc")) -> int:
    """Count a process's open descriptors; 0 when it is gone or not ours."""
    directory = proc / str(pid) / "fd"
    try:
        # Linux 6.2 and later give the number as the size of the folder.
        return directory.stat().st_size or len(list(directory.iterdir()))
    except OSError:
        return 0


def resident_memory(pid: int, proc: Path = Path("/proc")) -> int:
    """Give the bytes of memory that a process has resident; 0 when it is gone."""
    try:
        return int((proc / str(pid) / "statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0
