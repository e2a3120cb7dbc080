"""The running service that the doctor is asked about: its ports, workers, processes and network namespace."""

from __future__ import annotations

import ctypes
import json
import os
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from statsd_tcp.commands.doctor.programs import run_program
from statsd_tcp.doctor.facts import Facts
from statsd_tcp.doctor.goal import Goal
from statsd_tcp.doctor.probes import KernelProbes, Roots
from statsd_tcp.doctor.start import UNIT, USUAL_START, read_start
from statsd_tcp.kernel.cpu_count import size_workers
from statsd_tcp.kernel.process_stats import sockets_of
from statsd_tcp.kernel.sock_diag import listeners

__all__ = ["NoService", "Service", "enter_network", "no_service", "service_at", "service_of"]

_TIMEOUT = 5.0
_CLONE_NEWNET = 0x40000000
_WORKER = b"statsd_tcp.workers"
"""Stands in the command line of every worker."""

_PATH, _DATAGRAM = 7, 2
"""In /proc/net/unix: the place of the path among the words, and the number of the type SOCK_DGRAM."""

_PARENT = 1
"""Of the words after the name in /proc/PID/stat: the parent's pid."""


class NoService(Exception):  # noqa: N818  (an answer to the operator)
    """The service that was named cannot be asked; the text is one line that begins with the option."""


class Service(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out. ``process`` is the one whose limits count: a worker, or ``self`` without a service.

    ``open_files`` are the limits, soft and hard, of a service that is installed and was not named.
    ``workers`` None: not known. ``title`` names it for people.
    """

    title: str
    process: str = "self"
    workers: int | None = None
    pids: tuple[int, ...] = ()
    tcp_ports: tuple[int, ...] = Goal().tcp_ports
    udp_ports: tuple[int, ...] = Goal().udp_ports
    unixgram: tuple[str, ...] = ()
    closes_first: bool = True
    open_files: tuple[int | None, int | None] | None = None

    def goal(self, rate: float, stall: float, workers: int | None) -> Goal:
        """Put together what the machine is measured against."""
        return Goal(
            rate=rate,
            stall=stall,
            workers=workers or self.workers or size_workers(None).workers,
            tcp_ports=self.tcp_ports,
            udp_ports=self.udp_ports,
            unixgram=self.unixgram,
            closes_first=self.closes_first,
            pids=self.pids,
        )

    def facts(self, proc: Path = Path("/proc"), sys: Path = Path("/sys")) -> Facts:
        """Look at the machine as the service sees it: from its network namespace, if we may."""
        shut = "" if self.process == "self" else enter_network(proc / self.process)
        if shut and self._listens_here():
            # Its namespace is none of our business, but its ports are here: so it is this one.
            shut = ""
        start = USUAL_START if self.process == "self" else read_start(proc, self.process)
        return Facts(Roots(proc, sys, self.process, shut), KernelProbes(), start, self.open_files)

    def _listens_here(self) -> bool:
        try:
            return bool(self.tcp_ports) and {*self.tcp_ports} <= {one.port for one in listeners()}
        except OSError:
            return False


def no_service(run: Callable[[Sequence[str]], str] = run_program) -> Service:
    """Return what applies when no service is named: default ports, and the limits of its unit or of this process."""
    try:
        shown = run(["systemctl", "show", "--property=LoadState,LimitNOFILE,LimitNOFILESoft", UNIT])
    except OSError:
        shown = ""
    found = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    if found.get("LoadState") != "loaded" or "LimitNOFILE" not in found:
        return Service(title="no service named: its default ports, and the limits of this shell")
    hard = _limit(found["LimitNOFILE"])
    title = f"no service named: its default ports, and the limit of open files of {UNIT}"
    return Service(title=title, open_files=(_limit(found.get("LimitNOFILESoft", "")) or hard, hard))


def _limit(text: str) -> int | None:
    """Read a limit as systemd shows it; None for infinity."""
    return int(text) if text.isdigit() and int(text) < _INFINITY else None


_INFINITY = (1 << 64) - 1


_LONGEST_REFUSAL = 200
"""Bytes of an answer that is no status: one line says why."""


def service_at(url: str) -> Service:
    """Ask a service for its status; raises `NoService`."""
    try:
        with urllib.request.urlopen(f"{url}/api/v1/status", timeout=_TIMEOUT) as answer:  # noqa: S310  (checked: http)
            return _from_status(url, json.load(answer))
    except urllib.error.HTTPError as error:
        with error:
            said = error.read(_LONGEST_REFUSAL).decode(errors="replace").strip()
        raise NoService(f"--status-url {url}: {error.code} {said or error.reason}") from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = error.reason if isinstance(error, urllib.error.URLError) else error
        raise NoService(f"--status-url {url}: {reason}") from None


def service_of(pid: int, proc: Path = Path("/proc")) -> Service:
    """Look at a supervisor's process and its workers; raises `NoService`."""
    if not (proc / str(pid)).is_dir():
        raise NoService(f"--pid {pid}: there is no such process")
    workers = _children(pid, proc)
    holders = workers or [pid]
    inodes = {inode for holder in holders for inode in sockets_of(holder, proc)}
    if not inodes:
        raise NoService(f"--pid {pid}: its sockets cannot be seen (not a service of ours, or root is needed)")
    enter_network(proc / str(holders[0]))
    return Service(
        title=f"process {pid}",
        process=str(holders[0]),
        workers=len(workers) or None,
        pids=(pid, *workers),
        tcp_ports=tuple(sorted({one.port for one in listeners() if one.inode in inodes})),
        udp_ports=tuple(sorted(_udp_ports(proc / str(holders[0]), inodes))),
        unixgram=tuple(sorted(_unixgram(proc / str(holders[0]), inodes))),
    )


def enter_network(process: Path) -> str:
    """Go into a process's network namespace; "" if we are there, else the reason why we are not."""
    theirs = process / "ns/net"
    try:
        if theirs.readlink() == Path("/proc/self/ns/net").readlink():
            return ""
        descriptor = os.open(theirs, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        return f"the service's network namespace cannot be seen: {error.strerror} (run the doctor as root)"
    try:
        if ctypes.CDLL(None, use_errno=True).setns(descriptor, _CLONE_NEWNET):
            why = os.strerror(ctypes.get_errno())
            return f"the service's network namespace cannot be entered: {why} (run the doctor as root)"
    finally:
        os.close(descriptor)
    return ""


def _from_status(url: str, status: dict[str, Any]) -> Service:
    listening = status["listeners"]
    workers = [one["pid"] for one in status["workers"] if one["pid"]]
    here = [pid for pid in workers if _is_worker(pid)]
    return Service(
        title=url if here else f"{url} (its processes are not to be seen here: the limits are this shell's)",
        process=str(here[0]) if here else "self",
        workers=len(status["workers"]),
        pids=(*here, *{_parent(pid, Path("/proc")) for pid in here}),
        tcp_ports=tuple(sorted({one["port"] for one in listening if one["port"] and one["scheme"] != "udp"})),
        udp_ports=tuple(sorted({one["port"] for one in listening if one["scheme"] == "udp"})),
        unixgram=tuple(one["path"] for one in listening if one["scheme"] == "unixgram"),
        closes_first=any(one["count_only"] for one in listening),
    )


def _is_worker(pid: int) -> bool:
    """Return whether this is our worker: the service may run in a container or on another machine."""
    try:
        return _WORKER in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False


def _parent(pid: int, proc: Path) -> int:
    try:
        # The name, in parentheses, may hold anything.
        return int((proc / str(pid) / "stat").read_text().rpartition(")")[2].split()[_PARENT])
    except (OSError, ValueError):
        return 0


def _children(pid: int, proc: Path) -> list[int]:
    numbers = [int(folder.name) for folder in proc.glob("[0-9]*")]
    return sorted(number for number in numbers if _parent(number, proc) == pid)


def _udp_ports(process: Path, inodes: set[int]) -> set[int]:
    rows = [row for table in ("udp", "udp6") for row in _rows(process / "net" / table)]
    return {int(words[1].rpartition(":")[2], 16) for words in rows if int(words[9]) in inodes}


def _unixgram(process: Path, inodes: set[int]) -> set[str]:
    """Return the paths of Unix datagram sockets; one that only sends has none."""
    rows = [words for words in _rows(process / "net/unix") if len(words) > _PATH]
    return {words[_PATH] for words in rows if int(words[4], 16) == _DATAGRAM and int(words[6]) in inodes}


def _rows(table: Path) -> list[list[str]]:
    try:
        return [row.split() for row in table.read_text().splitlines()[1:]]
    except OSError:
        return []
