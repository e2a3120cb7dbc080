"""How many workers suit the processors that this process may use: its affinity mask and its control group's quota."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

from statsd_tcp.kernel.groups import read_group

__all__ = ["DEFAULT_MOST_WORKERS", "Sizing", "size_workers"]

DEFAULT_MOST_WORKERS = 8
"""Workers started without being asked for. Eight take more than any network card of an ordinary machine brings."""


class Sizing(NamedTuple):
    """A number of workers, and why."""

    workers: int
    reason: str


def size_workers(wanted: int | None, proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> Sizing:
    """Choose the number of workers, unless the operator did."""
    if wanted is not None:
        return Sizing(wanted, "as asked for")
    usable = len(os.sched_getaffinity(0))
    sizing = Sizing(usable, _count(usable, "processor"))
    quota = _quota(proc, sys)
    if quota is not None and quota < sizing.workers:
        sizing = Sizing(max(1, int(quota)), f"the control group's quota of {quota:g} processors")
    if sizing.workers > DEFAULT_MOST_WORKERS:
        sizing = Sizing(DEFAULT_MOST_WORKERS, f"{sizing.reason}, at most {DEFAULT_MOST_WORKERS} unless asked for")
    return sizing


def _quota(proc: Path, sys: Path) -> float | None:
    try:
        membership = (proc / "self/cgroup").read_text()
    except OSError:
        return None
    return read_group(membership, sys).quota


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
