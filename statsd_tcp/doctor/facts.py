"""What one machine says about itself: its files below /proc and /sys, each read once, when it is first asked for.

The roots and the two questions that are not files come in from outside, so that a recorded machine is judged exactly
as a live one. What cannot be read raises `Unread` with the reason, in words for the operator.
"""

from __future__ import annotations

import re
from functools import cached_property
from pathlib import Path

from statsd_tcp.doctor.probes import Probes, Roots, Unread
from statsd_tcp.doctor.start import USUAL_START, Start
from statsd_tcp.kernel.cards import Card, read_cards
from statsd_tcp.kernel.groups import Group, read_group
from statsd_tcp.kernel.process_stats import sockets_of
from statsd_tcp.kernel.rings import Ring
from statsd_tcp.kernel.sock_diag import Listener
from statsd_tcp.kernel.tables import (
    Softnet,
    conntrack_events,
    cpu_list,
    limits,
    named_lines,
    paired_lines,
    softnet_rows,
)

__all__ = ["Facts"]

_HOST_ONLY = re.compile(
    r"net\.core\.(netdev_|dev_weight|rps_sock|busy|[rw]mem_)|net\.ipv4\.(tcp_mem|tcp_max_orphans|udp_mem)$"
)
"""Settings that exist once for the whole machine: other network namespaces do not show them."""


class Facts:
    """The machine as it was when it was asked. Make a new one to look again."""

    def __init__(
        self,
        roots: Roots,
        probes: Probes,
        start: Start = USUAL_START,
        open_files: tuple[int | None, int | None] | None = None,
    ) -> None:
        """``start`` tells how the service is started, ``open_files`` its limits where it does not run."""
        self.start = start
        self._open_files = open_files
        self.roots = roots
        self._probes = probes
        self._texts: dict[Path, str | Unread] = {}

    # Files.

    def text(self, path: Path) -> str:
        """Return a file's text; raises `Unread`."""
        if path not in self._texts:
            self._texts[path] = _read(path)
        found = self._texts[path]
        if isinstance(found, Unread):
            raise found
        return found

    def process_text(self, name: str) -> str:
        """Return the text of a file of the process, such as ``limits`` or ``net/netstat``; raises `Unread`."""
        return self.text(self.roots.proc / self.roots.process / name)

    def sysctl(self, name: str) -> str:
        """Return a sysctl's value, with single blanks; raises `Unread`."""
        if self.roots.shut and name.startswith("net."):
            raise Unread(self.roots.shut)
        try:
            return " ".join(self.text(self.sysctl_path(name)).split())
        except Unread as error:
            if _HOST_ONLY.match(name) and not self.host_network:
                raise Unread(f"{name} can be seen only in the host's own network namespace") from None
            raise error from None

    def sysctl_path(self, name: str) -> Path:
        """Return the file of a sysctl."""
        return self.roots.proc / "sys" / name.replace(".", "/")

    def has_sysctl(self, name: str) -> bool:
        """Return whether this kernel, here, has a sysctl."""
        try:
            self.sysctl(name)
        except Unread:
            return False
        return True

    def number(self, name: str) -> int:
        """Return a sysctl that is one number; raises `Unread`."""
        return self.numbers(name)[0]

    def numbers(self, name: str) -> list[int]:
        """Return a sysctl that is a few numbers; raises `Unread`."""
        text = self.sysctl(name)
        try:
            return [int(word) for word in text.split()] or [int(text)]
        except ValueError:
            raise Unread(f"{name} is {text!r}, which is not a number") from None

    # The machine.

    @cached_property
    def version(self) -> tuple[int, int]:
        """The kernel's version, such as (6, 1); (0, 0) where it cannot be known."""
        found = re.match(r"(\d+)\.(\d+)", self._or("", "kernel.osrelease"))
        return (int(found[1]), int(found[2])) if found else (0, 0)

    @cached_property
    def host_network(self) -> bool:
        """Whether this is the host's own network namespace: only there the machine's settings can be seen."""
        return self.sysctl_path("net.core.netdev_max_backlog").exists()

    @cached_property
    def memory(self) -> int:
        """Bytes of memory; raises `Unread`."""
        found = re.search(r"^MemTotal:\s+(\d+) kB", self.text(self.roots.proc / "meminfo"), re.MULTILINE)
        if found is None:
            raise Unread("meminfo has no MemTotal")
        return int(found[1]) * 1024

    @cached_property
    def processors(self) -> list[int]:
        """The processors that the process may use; raises `Unread`."""
        found = re.search(r"^Cpus_allowed_list:\s+(\S+)", self.process_text("status"), re.MULTILINE)
        if found is None:
            raise Unread("the process's status has no Cpus_allowed_list")
        return [cpu for cpu in cpu_list(found[1]) if cpu in self.online] if self.online else cpu_list(found[1])

    @cached_property
    def online(self) -> list[int]:
        """The machine's processors; empty where they cannot be known."""
        try:
            return cpu_list(self.text(self.roots.sys / "devices/system/cpu/online"))
        except Unread:
            return []

    @cached_property
    def nodes(self) -> dict[int, list[int]]:
        """The processors of each NUMA node; empty where there are no nodes to be seen."""
        folders = (self.roots.sys / "devices/system/node").glob("node[0-9]*")
        return {int(folder.name[4:]): cpu_list(self.text(folder / "cpulist")) for folder in sorted(folders)}

    @cached_property
    def cards(self) -> list[Card]:
        """The network interfaces of the process's network; raises `Unread`."""
        if self.roots.shut:
            raise Unread(self.roots.shut)
        names = {line.partition(":")[0].strip() for line in self.process_text("net/dev").splitlines()[2:]}
        folder = self.roots.sys / "class/net"
        if not folder.is_dir():
            raise Unread(f"no such folder: {folder}")
        seen = {one.name for one in folder.iterdir() if one.is_dir()}
        if seen != names:
            raise Unread(f"{folder} shows another network namespace than the service's")
        return read_cards(folder)

    def ring(self, card: str) -> Ring:
        """Return a card's receive ring; raises `Unread`."""
        try:
            return self._probes.ring(card)
        except OSError as error:
            raise Unread(f"the driver of {card} does not tell its ring: {error.strerror}") from None

    @cached_property
    def listeners(self) -> list[Listener]:
        """The listening TCP sockets; raises `Unread`."""
        if self.roots.shut:
            raise Unread(self.roots.shut)
        try:
            return self._probes.listeners()
        except OSError as error:
            raise Unread(f"listening sockets cannot be listed: {error.strerror}") from None

    # The process.

    @cached_property
    def limits(self) -> dict[str, tuple[int | None, int | None]]:
        """The process's limits, by name (soft, hard); raises `Unread`."""
        found = limits(self.process_text("limits"))
        return found if self._open_files is None else {**found, "Max open files": self._open_files}

    @cached_property
    def group(self) -> Group:
        """The process's control groups; raises `Unread`."""
        return read_group(self.process_text("cgroup"), self.roots.sys)

    # Counters.

    @cached_property
    def counters(self) -> dict[str, int]:
        """The protocols' counters since boot, such as ``TcpExt.ListenOverflows``; raises `Unread`."""
        return paired_lines(self.process_text("net/netstat")) | paired_lines(self.process_text("net/snmp"))

    @cached_property
    def sockets(self) -> dict[str, int]:
        """The sockets in use, such as ``TCP.tw``; raises `Unread`."""
        return named_lines(self.process_text("net/sockstat"))

    @cached_property
    def softnet(self) -> list[Softnet]:
        """Each processor's part in receiving; raises `Unread`."""
        return softnet_rows(self.process_text("net/softnet_stat"))

    @cached_property
    def conntrack(self) -> dict[str, int]:
        """What connection tracking did; raises `Unread`."""
        return conntrack_events(self.process_text("net/stat/nf_conntrack"))

    def interrupts(self) -> str:
        """Return the table of interrupts; raises `Unread`."""
        return self.text(self.roots.proc / "interrupts")

    def is_running(self, name: str) -> bool:
        """Return whether a process of this name (up to 15 characters) can be seen."""
        for folder in self.roots.proc.glob("[0-9]*"):
            try:
                if (folder / "comm").read_text().strip() == name:
                    return True
            except OSError:
                continue
        return False

    def owners(self, inodes: set[int]) -> dict[int, set[int]]:
        """Return the processes that have each socket open, as far as our rights go: inode -> pids."""
        found: dict[int, set[int]] = {}
        for folder in self.roots.proc.glob("[0-9]*"):
            for inode in inodes & sockets_of(int(folder.name), self.roots.proc):
                found.setdefault(inode, set()).add(int(folder.name))
        return found

    def _or(self, otherwise: str, name: str) -> str:
        try:
            return self.sysctl(name)
        except Unread:
            return otherwise


def _read(path: Path) -> str | Unread:
    try:
        return path.read_text(errors="replace")
    except FileNotFoundError:
        return Unread(f"no such file: {path}")
    except PermissionError:
        return Unread(f"not readable without more rights: {path}")
    except OSError as error:
        return Unread(f"{path}: {error.strerror}")
