"""How a process was started, which decides where its limits are set: by a unit of systemd, in a container, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, NamedTuple

__all__ = ["UNIT", "USUAL_START", "Start", "read_start"]

UNIT = "statscounter.service"

_CONTAINERS = ("docker", "kubepods", "libpod", "containerd", "lxc", "crio")
_HOSTS = ("systemd", "init")
"""What process 1 is called outside of containers."""

_PARENT = 1
"""Of the words after the name in /proc/PID/stat: the parent's pid."""


class Start(NamedTuple):
    """The way in which a service is started; ``unit`` is the name of its unit, if it has one."""

    way: Literal["unit", "container", "shell"] = "unit"
    unit: str = UNIT


USUAL_START = Start()


def read_start(proc: Path, process: str) -> Start:
    """Return how a process of the service, its supervisor or a worker, was started."""
    path = _group(proc / process)
    parts = [part for part in path.split("/") if part]
    if any(word in path for word in _CONTAINERS) or (not parts and _text(proc / "1/comm").strip() not in _HOSTS):
        return Start("container")
    units = [part for part in parts if part.endswith(".service")]
    # A unit's group also contains processes that were started by hand, in a shell of that unit (such as sshd's).
    if units and 1 in _ancestors(proc, process):
        return Start("unit", units[-1])
    return Start("shell")


def _group(process: Path) -> str:
    """Return the path of the control group, of systemd's hierarchy in version 1."""
    found = ""
    for line in _text(process / "cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "name=systemd" or (number == "0" and not found):
            found = path
    return found


def _ancestors(proc: Path, process: str) -> list[int]:
    """Return the parent of a process, and the parent's."""
    found: list[int] = []
    for _ in range(2):
        words = _text(proc / process / "stat").rpartition(")")[2].split()
        if len(words) <= _PARENT or not words[_PARENT].isdigit():
            break
        found.append(int(words[_PARENT]))
        process = words[_PARENT]
    return found


def _text(file: Path) -> str:
    try:
        return file.read_text(errors="replace")
    except OSError:
        return ""
