"""How many processors this process may use: its affinity mask, and its control group's quota."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

__all__ = ["MOST_WORKERS", "Sizing", "processor_quota", "size_workers"]

MOST_WORKERS = 8
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
    quota = processor_quota(proc, sys)
    if quota is not None and quota < sizing.workers:
        sizing = Sizing(max(1, int(quota)), f"the control group's quota of {quota:g} processors")
    if sizing.workers > MOST_WORKERS:
        sizing = Sizing(MOST_WORKERS, f"{sizing.reason}, at most {MOST_WORKERS} unless asked for")
    return sizing


def processor_quota(proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> float | None:
    """Give the processors that the control group may use on average, the tightest of it and its parents."""
    quotas = [quota for quota in (*_version_2(proc, sys), _version_1(sys)) if quota is not None]
    return min(quotas, default=None)


def _version_2(proc: Path, sys: Path) -> list[float | None]:
    try:
        lines = (proc / "self/cgroup").read_text().splitlines()
    except OSError:
        return []
    path = next((line[3:] for line in lines if line.startswith("0::")), "/")
    root = sys / "fs/cgroup"
    group = root / path.lstrip("/")
    groups = [group, *group.parents] if group.is_relative_to(root) else [root]
    return [_limit(one / "cpu.max") for one in groups if one.is_relative_to(root)]


def _limit(file: Path) -> float | None:
    try:
        quota, period = file.read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)


def _version_1(sys: Path) -> float | None:
    group = sys / "fs/cgroup/cpu"
    try:
        quota = int((group / "cpu.cfs_quota_us").read_text())
        period = int((group / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return None
    return quota / period if quota > 0 else None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
