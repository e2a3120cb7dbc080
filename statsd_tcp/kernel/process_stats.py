"""What a process has: descriptors, sockets, memory, and a processor of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

__all__ = ["ProcessState", "only_processor", "open_descriptors", "process_state", "resident_memory", "sockets_of"]

_PAGE = os.sysconf("SC_PAGE_SIZE")

_STATE, _MAJOR_FAULTS, _DISK_TICKS = 0, 9, 39
"""Places in /proc/PID/stat after the name, whose end is the last closing bracket: see proc(5)."""


class ProcessState(NamedTuple):
    """What a process does: the letter of proc(5), pages that it had to wait for, and ticks that it waited for a disk.

    The last one stays 0 where the kernel does not account for delays.
    """

    letter: str
    major_faults: int
    disk_ticks: int


def open_descriptors(pid: int, proc: Path = Path("/proc")) -> int:
    """Count a process's open descriptors; 0 when it is gone or not ours."""
    directory = proc / str(pid) / "fd"
    try:
        # Linux 6.2 and later give the number as the size of the folder.
        return directory.stat().st_size or len(list(directory.iterdir()))
    except OSError:
        return 0


def sockets_of(pid: int, proc: Path = Path("/proc")) -> set[int]:
    """Return the inodes of a process's sockets; none when it is gone or not ours."""
    found = set[int]()
    try:
        entries = list((proc / str(pid) / "fd").iterdir())
    except OSError:
        return found
    for entry in entries:
        try:
            target = str(entry.readlink())
        except OSError:
            # Closed since it was listed. The others are still to be read.
            continue
        if target.startswith("socket:["):
            found.add(int(target[8:-1]))
    return found


def only_processor(pid: int) -> int | None:
    """Return the processor that a process is kept on; None when it may run on several, or is gone."""
    try:
        cpus = os.sched_getaffinity(pid)
    except OSError:
        return None
    return cpus.pop() if len(cpus) == 1 else None


def resident_memory(pid: int, proc: Path = Path("/proc")) -> int:
    """Return the bytes of memory that a process has resident; 0 when it is gone."""
    try:
        return int((proc / str(pid) / "statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def process_state(pid: int, proc: Path = Path("/proc")) -> ProcessState | None:
    """Return what a process does; None when it is gone."""
    try:
        fields = (proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
        return ProcessState(fields[_STATE], int(fields[_MAJOR_FAULTS]), int(fields[_DISK_TICKS]))
    except (OSError, IndexError, ValueError):
        return None
