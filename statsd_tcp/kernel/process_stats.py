"""What a process has: descriptors, memory, and a processor of its own."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["only_processor", "open_descriptors", "resident_memory"]

_PAGE = os.sysconf("SC_PAGE_SIZE")


def open_descriptors(pid: int, proc: Path = Path("/proc")) -> int:
    """Count a process's open descriptors; 0 when it is gone or not ours."""
    directory = proc / str(pid) / "fd"
    try:
        # Linux 6.2 and later give the number as the size of the folder.
        return directory.stat().st_size or len(list(directory.iterdir()))
    except OSError:
        return 0


def only_processor(pid: int) -> int | None:
    """Give the processor that a process is kept on; None when it may run on several, or is gone."""
    try:
        cpus = os.sched_getaffinity(pid)
    except OSError:
        return None
    return cpus.pop() if len(cpus) == 1 else None


def resident_memory(pid: int, proc: Path = Path("/proc")) -> int:
    """Give the bytes of memory that a process has resident; 0 when it is gone."""
    try:
        return int((proc / str(pid) / "statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0
