"""What the kernel knows: CPU, sleeps and memory of processes, drops and queues of listening sockets."""

import os
import re
from pathlib import Path

import msgspec

PROC = Path("/proc")

LISTEN_STATE = "0A"
TICKS = os.sysconf("SC_CLK_TCK")


class Usage(msgspec.Struct, frozen=True):
    """A process's threads together: nanoseconds on a CPU, nanoseconds waiting for one, sleeps entered."""

    on_cpu_ns: int
    waiting_ns: int
    sleeps: int

    def since(self, earlier: "Usage") -> "Usage":
        """What was added since `earlier`."""
        return Usage(
            self.on_cpu_ns - earlier.on_cpu_ns,
            self.waiting_ns - earlier.waiting_ns,
            self.sleeps - earlier.sleeps,
        )


class Processor(msgspec.Struct, frozen=True):
    """Seconds for which a processor was busy, and those of them that it spent on soft interrupts."""

    busy: float
    soft: float

    def since(self, earlier: "Processor") -> "Processor":
        """What was added since `earlier`."""
        return Processor(self.busy - earlier.busy, self.soft - earlier.soft)


class Memory(msgspec.Struct, frozen=True):
    """MiB: resident, and with what is shared divided among the sharers."""

    rss: float
    pss: float


def usage(pids: list[int]) -> Usage:
    """What the processes used so far; FileNotFoundError when one is gone."""
    on_cpu = waiting = sleeps = 0
    for pid in pids:
        for task in (PROC / str(pid) / "task").iterdir():
            fields = (task / "schedstat").read_text().split()
            on_cpu += int(fields[0])
            waiting += int(fields[1])
            sleeps += _field(task / "status", "voluntary_ctxt_switches")
    return Usage(on_cpu, waiting, sleeps)


def memory(pids: list[int]) -> Memory:
    """What the processes hold in memory now."""
    rollups = [PROC / str(pid) / "smaps_rollup" for pid in pids]
    return Memory(
        sum(_field(rollup, "Rss") for rollup in rollups) / 1024,
        sum(_field(rollup, "Pss") for rollup in rollups) / 1024,
    )


def _field(file: Path, name: str) -> int:
    found = re.search(rf"^{name}:\s+(\d+)", file.read_text(), re.MULTILINE)
    return int(found.group(1)) if found else 0


def soft_interrupts(cpu: int | None) -> list[int]:
    """PID of the kernel thread to which too much network work on `cpu` is left; empty: not visible."""
    name = f"ksoftirqd/{cpu}\n"
    for directory in PROC.glob("[0-9]*"):
        try:
            if (directory / "comm").read_text() == name:
                return [int(directory.name)]
        except (FileNotFoundError, ProcessLookupError):
            continue
    return []


def processor(cpu: int | None) -> Processor:
    """How long a processor, or all of them together, was busy since the machine started, in ticks of the clock."""
    name = "cpu" if cpu is None else f"cpu{cpu}"
    (row,) = [line.split() for line in (PROC / "stat").read_text().splitlines() if line.split()[0] == name]
    user, nice, system, _idle, _waiting, hard, soft = (int(field) / TICKS for field in row[1:8])
    return Processor(user + nice + system + hard + soft, soft)


def listen_counters() -> dict[str, int]:
    """The network namespace's counters of connections that found no room."""
    lines = [line.split() for line in (PROC / "net" / "netstat").read_text().splitlines()]
    names, values = (line for line in lines if line[0] == "TcpExt:")
    return {
        name: int(value)
        for name, value in zip(names[1:], values[1:], strict=True)
        if name in {"ListenOverflows", "ListenDrops"}
    }


def waiting_connections(port: int) -> int:
    """Length of the accept queues of all sockets that listen on `port` (IPv4).

    The kernel lists the listening sockets first: reading stops behind them, however many others there are.
    """
    waiting = 0
    with (PROC / "net" / "tcp").open() as table:
        next(table)
        for row in table:
            fields = row.split()
            if fields[3] != LISTEN_STATE:
                break
            if int(fields[1].split(":")[1], 16) == port:
                waiting += int(fields[4].split(":")[1], 16)
    return waiting


def udp_drops(port: int) -> int:
    """How many datagrams found the buffer of the UDP socket on an IPv4 port full; 0 without such a socket."""
    rows = [line.split() for line in (PROC / "net" / "udp").read_text().splitlines()[1:]]
    return sum(int(row[-1]) for row in rows if int(row[1].rpartition(":")[2], 16) == port)
