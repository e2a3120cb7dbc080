"""The kernel's counters, read again and again at next to no cost: the files stay open."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from statsd_tcp.kernel.groups import group_folders
from statsd_tcp.kernel.tables import conntrack_events, named_lines, paired_lines, softnet_rows, total

__all__ = ["PROTOCOL_COUNTERS", "Sample", "Sampler"]

PROTOCOL_COUNTERS = (
    "TcpExt.ListenOverflows",
    "TcpExt.ListenDrops",
    "TcpExt.SyncookiesSent",
    "TcpExt.SyncookiesFailed",
    "TcpExt.TCPReqQFullDoCookies",
    "TcpExt.TCPReqQFullDrop",
    "TcpExt.TCPTimeWaitOverflow",
    "TcpExt.TCPAbortOnMemory",
    "TcpExt.TCPAbortOnClose",
    "TcpExt.TCPMemoryPressures",
    "TcpExt.TCPBacklogDrop",
    "TcpExt.TCPMigrateReqSuccess",
    "TcpExt.TCPMigrateReqFailure",
    "Tcp.PassiveOpens",
    "Tcp.AttemptFails",
    "Tcp.EstabResets",
    "Tcp.OutRsts",
    "Tcp.RetransSegs",
    "Udp.InErrors",
    "Udp.RcvbufErrors",
)
"""Counters of /proc/net/netstat and snmp that say something about accepting."""

_BY_GROUP: dict[str, list[str]] = {}
for _group, _, _name in (counter.partition(".") for counter in PROTOCOL_COUNTERS):
    _BY_GROUP.setdefault(_group, []).append(_name)

_SOCKETS = ("TCP.inuse", "TCP.orphan", "TCP.tw", "TCP.alloc", "TCP.mem", "UDP.inuse", "UDP.mem")
_CONNTRACK = ("drop", "early_drop", "insert_failed")
_MOST = 1 << 16


class Sample(msgspec.Struct, frozen=True):
    """What was read at one moment. What this kernel does not have is not in it.

    ``counters`` only grow (until they wrap or the kernel is started again); ``levels`` go up and down.
    """

    counters: dict[str, int]
    levels: dict[str, int]


class Sampler:
    """Reads samples.

    The files are opened at the first one and stay open: those of the network belong to the namespace of then.
    """

    def __init__(self, proc: Path, sys: Path) -> None:
        # As text: a Path is made again by each of its operators, which takes longer than reading a file.
        self._proc = str(proc)
        self._net = f"{proc}/self/net"
        self._sys = sys
        self._files: dict[str, int | None] = {}
        self._groups: dict[str, str] | None = None

    def read(self) -> Sample:
        """Read everything that is there."""
        counters = self._paired("netstat") | self._paired("snmp")
        sockets = named_lines(self._text(f"{self._net}/sockstat"))
        levels = {name: sockets[name] for name in _SOCKETS if name in sockets}
        self._softnet(counters)
        self._conntrack(counters, levels)
        self._open_files(levels)
        self._group(counters)
        return Sample(counters, levels)

    def _softnet(self, counters: dict[str, int]) -> None:
        if rows := softnet_rows(self._text(f"{self._net}/softnet_stat")):
            for name in ("processed", "dropped", "squeezed"):
                counters[f"softnet.{name}"] = total(rows, name)

    def _conntrack(self, counters: dict[str, int], levels: dict[str, int]) -> None:
        folder = f"{self._proc}/sys/net/netfilter"
        for name, file in (("entries", "nf_conntrack_count"), ("limit", "nf_conntrack_max")):
            if text := self._text(f"{folder}/{file}"):
                levels[f"conntrack.{name}"] = int(text)
        # A table of all processors: worth a look only while anything is tracked.
        if levels.get("conntrack.entries") and (text := self._text(f"{self._net}/stat/nf_conntrack")):
            events = conntrack_events(text)
            counters.update({f"conntrack.{name}": events[name] for name in _CONNTRACK if name in events})

    def _open_files(self, levels: dict[str, int]) -> None:
        if words := self._text(f"{self._proc}/sys/fs/file-nr").split():
            levels["files.open"], levels["files.limit"] = int(words[0]), int(words[2])

    def _group(self, counters: dict[str, int]) -> None:
        for name, file in self._group_files().items():
            for line in self._text(file).splitlines():
                word, _, value = line.partition(" ")
                if word in _GROUP_WORDS[name]:
                    counters[f"cgroup.{name}"] = counters.get(f"cgroup.{name}", 0) + int(value)

    def _group_files(self) -> dict[str, str]:
        if self._groups is None:
            folders = group_folders(self._text(f"{self._proc}/self/cgroup"), self._sys)
            self._groups = {}
            for name, (controller, file) in _GROUP_FILES.items():
                places = [folder / file for key in ("", controller) for folder in folders.get(key, [])[:1]]
                if found := [place for place in places if place.exists()]:
                    self._groups[name] = str(found[0])
        return self._groups

    def _paired(self, file: str) -> dict[str, int]:
        return paired_lines(self._text(f"{self._net}/{file}"), _BY_GROUP)

    def _text(self, path: str) -> str:
        """Return a file's text from its beginning; "" where there is none."""
        descriptor = self._files.get(path)
        try:
            if path not in self._files:
                self._files[path] = None
                self._files[path] = descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            return "" if descriptor is None else os.pread(descriptor, _MOST, 0).decode()
        except OSError:
            return ""


_GROUP_FILES = {
    "throttled": ("cpu", "cpu.stat"),
    "memory_hits": ("memory", "memory.events"),
    "tasks_refused": ("pids", "pids.events"),
}
_GROUP_WORDS = {"throttled": {"nr_throttled"}, "memory_hits": {"max", "oom"}, "tasks_refused": {"max"}}
