"""What a process's control groups allow, use and have refused: processors, memory and tasks, version 1 and 2.

A limit counts where it is tightest, in the group itself or in any of its parents. In a container the parents cannot be
seen: what holds there is then only what the container's own group says.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec

__all__ = ["Group", "group_folders", "read_group"]

# A "limit" of nearly 2^63 is how version 1 writes "none".
_NO_LIMIT = 1 << 60


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """A process's limits and what they have cost so far; None: no limit, or no such number here.

    ``quota`` is in processors, ``memory_*`` in bytes. ``throttled`` counts periods cut short, ``memory_hits`` the times
    that memory was at its limit, ``tasks_refused`` the forks and threads that failed.
    """

    quota: float | None = None
    throttled: int | None = None
    memory_limit: int | None = None
    memory_hits: int | None = None
    tasks_limit: int | None = None
    tasks: int | None = None
    tasks_refused: int | None = None


def group_folders(membership: str, sys: Path) -> dict[str, list[Path]]:
    """Return the folders of each controller, the process's own group first, then its parents.

    ``membership`` is the text of ``/proc/PID/cgroup``. Version 2 has one hierarchy for all: here it is named "".
    """
    mount = sys / "fs/cgroup"
    found: dict[str, list[Path]] = {}
    for line in membership.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            root = mount / "unified" if (mount / "unified").is_dir() else mount
            found[""] = _chain(root, path)
        for controller in filter(None, controllers.split(",")):
            found[controller] = _chain(_version_1_root(mount, controller, controllers), path)
    return found


def read_group(membership: str, sys: Path) -> Group:
    """Read everything. ``membership`` is the text of ``/proc/PID/cgroup``."""
    folders = group_folders(membership, sys)
    two = folders.get("", [])
    cpu, memory, tasks = (folders.get(name, []) for name in ("cpu", "memory", "pids"))
    return Group(
        quota=_least([*(_quota_2(one) for one in two), *(_quota_1(one) for one in cpu)]),
        throttled=_first(_counter(one / "cpu.stat", "nr_throttled") for one in [*two, *cpu]),
        memory_limit=_whole(
            _least([*_numbers(two, "memory.max"), *_numbers(memory, "memory.limit_in_bytes")]), _NO_LIMIT
        ),
        memory_hits=_first([*(_memory_events(one) for one in two), *_numbers(memory, "memory.failcnt")]),
        tasks_limit=_whole(_least(_numbers([*two, *tasks], "pids.max"))),
        tasks=_first(_numbers([*two, *tasks], "pids.current")),
        tasks_refused=_first(_counter(one / "pids.events", "max") for one in [*two, *tasks]),
    )


def _chain(root: Path, path: str) -> list[Path]:
    group = root / path.lstrip("/")
    if ".." in group.parts or not group.is_dir():
        # In a container the path is the host's, and the group is mounted as the root.
        return [root]
    return [one for one in (group, *group.parents) if one.is_relative_to(root)]


def _version_1_root(mount: Path, controller: str, together: str) -> Path:
    combined = mount / together
    return combined if combined.is_dir() else mount / controller


def _text(file: Path) -> str:
    try:
        return file.read_text()
    except OSError:
        return ""


def _number(file: Path) -> int | None:
    text = _text(file).strip()
    return int(text) if text.isdigit() else None


def _numbers(folders: Iterable[Path], name: str) -> Iterator[int | None]:
    return (_number(folder / name) for folder in folders)


def _counter(file: Path, name: str) -> int | None:
    for line in _text(file).splitlines():
        word, _, value = line.partition(" ")
        if word == name:
            return int(value)
    return None


def _memory_events(folder: Path) -> int | None:
    counts = [_counter(folder / "memory.events", name) for name in ("max", "oom")]
    known = [count for count in counts if count is not None]
    return sum(known) if known else None


def _quota_2(folder: Path) -> float | None:
    quota, _, period = _text(folder / "cpu.max").strip().partition(" ")
    return int(quota) / int(period) if quota.isdigit() and period.isdigit() else None


def _quota_1(folder: Path) -> float | None:
    quota, period = _number(folder / "cpu.cfs_quota_us"), _number(folder / "cpu.cfs_period_us")
    return quota / period if quota and period else None


def _least(values: Iterable[float | None]) -> float | None:
    return min((value for value in values if value is not None), default=None)


def _whole(value: float | None, none: int | None = None) -> int | None:
    return None if value is None or (none is not None and value >= none) else int(value)


def _first(values: Iterable[int | None]) -> int | None:
    return next((value for value in values if value is not None), None)
