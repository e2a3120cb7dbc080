"""Which process has a port: read from /proc, as far as our rights go."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from statsd_tcp.kernel.process_stats import sockets_of

__all__ = ["Owner", "port_owner"]

_LISTEN = "0A"
_LOCAL, _STATE, _INODE = 1, 3, 9


class Owner(NamedTuple):
    """A process by name and number."""

    name: str
    pid: int

    def __str__(self) -> str:
        return f"{self.name} (pid {self.pid})"


def port_owner(scheme: str, port: int, proc: Path = Path("/proc")) -> Owner | None:
    """Find the process that listens on a port of ``scheme`` (tcp or udp); None if we may not see it."""
    inodes = _inodes(scheme, port, proc)
    if not inodes:
        return None
    for process in proc.iterdir():
        if process.name.isdigit() and inodes & sockets_of(int(process.name), proc):
            return Owner(_name(process), int(process.name))
    return None


def _inodes(scheme: str, port: int, proc: Path) -> set[int]:
    found = set()
    for table in (scheme, f"{scheme}6"):
        try:
            rows = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for row in rows:
            fields = row.split()
            if int(fields[_LOCAL].rpartition(":")[2], 16) == port and (scheme == "udp" or fields[_STATE] == _LISTEN):
                found.add(int(fields[_INODE]))
    return found


def _name(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return "a process"
