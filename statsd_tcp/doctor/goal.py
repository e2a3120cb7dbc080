"""What the machine is measured against, and the formulas that turn it into needed values.

Every formula gives its number together with its own text, written with the numbers that went in.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec

__all__ = [
    "CPU_PER_CONNECTION",
    "PACKETS",
    "TIME_WAIT",
    "Goal",
    "Need",
    "accept_queue",
    "conntrack_entries",
    "datagram_queue",
    "descriptors",
    "memory",
    "packets_per_processor",
    "processors",
    "softirq_processors",
    "time_wait_buckets",
]

TIME_WAIT = 60
"""Seconds of TIME_WAIT: TCP_TIMEWAIT_LEN, a constant of the kernel that no setting changes."""

PACKETS = 6
"""Packets that a short connection sends us: SYN, ACK, data, FIN and ACKs."""

SOFTIRQ_PER_CONNECTION = 30e-6
"""Seconds of processor time that the kernel spends in softirq for a short connection; an estimate, on the safe side."""

CPU_PER_CONNECTION = 100e-6
"""Seconds of processor time of everything, service and kernel, for a short connection; on the safe side too."""

ORDINARY_STALL = 0.1
"""Seconds without a look at the queue that happen on any machine: a page fault, a collection, a neighbour."""

# Sizes from /proc/slabinfo: a TCP socket with its inode and file, half of it while it waits to be accepted.
_SOCKET, _QUEUED, _TIME_WAIT_SOCKET, _CONNTRACK_ENTRY = 3400, 2700, 256, 256
_WORKER, _SUPERVISOR = 60 << 20, 80 << 20


class Goal(msgspec.Struct, frozen=True, kw_only=True):
    """The demand: connections per second, the seconds of a worker's stall to survive, and the service's shape.

    ``unixgram`` are the paths of Unix datagram sockets. ``life`` is how many seconds a connection lives.
    ``closes_first``: some port closes before its client does, and so TIME_WAIT stays here. ``pids`` are the service's
    processes, where they are known.
    """

    rate: float = 10_000
    stall: float = 2.0
    workers: int = 1
    life: float = 1.0
    tcp_ports: tuple[int, ...] = (8125, 8888)
    udp_ports: tuple[int, ...] = (8125,)
    unixgram: tuple[str, ...] = ()
    closes_first: bool = True
    pids: tuple[int, ...] = ()

    @property
    def ports(self) -> tuple[int, ...]:
        """All ports, each once."""
        return tuple(sorted({*self.tcp_ports, *self.udp_ports}))


class Need(NamedTuple):
    """A needed value, and how it came about."""

    value: int
    formula: str


def datagram_queue(goal: Goal) -> Need:
    """Datagrams that a Unix socket, which one worker reads, must hold in ordinary operation."""
    value = math.ceil(goal.rate * ORDINARY_STALL)
    return Need(value, f"rate·{ORDINARY_STALL:g} s, if as many datagrams come as connections")


def accept_queue(goal: Goal) -> Need:
    """Connections that one worker's queue must hold while the worker stalls."""
    mean = goal.rate * goal.stall / goal.workers
    value = math.ceil(mean + 4 * math.sqrt(mean))
    text = f"m + 4·sqrt(m), m = rate·stall/workers = {goal.rate:,.0f}·{goal.stall:g}/{goal.workers} = {mean:,.0f}"
    return Need(value, text)


def ordinary_queue(goal: Goal) -> int:
    """Connections that one worker's queue must hold in ordinary operation: less loses some all the time."""
    return math.ceil(goal.rate * ORDINARY_STALL / goal.workers)


def descriptors(goal: Goal) -> Need:
    """Open files of one worker: twice what lives or comes at once after a stall, and its own."""
    value = math.ceil(128 + 2 * goal.rate * (goal.stall + goal.life) / goal.workers)
    text = (
        f"128 + 2·rate·(stall + life)/workers = 128 + 2·{goal.rate:,.0f}·({goal.stall:g} + {goal.life:g})"
        f"/{goal.workers}"
    )
    return Need(value, text)


def time_wait_buckets(goal: Goal, machine_memory: int) -> Need:
    """TIME_WAIT entries where the server closes first, at most what 5 % of the memory holds."""
    wanted, room = math.ceil(1.1 * TIME_WAIT * goal.rate), machine_memory // 20 // _TIME_WAIT_SOCKET
    text = f"1.1·{TIME_WAIT} s·rate = 1.1·{TIME_WAIT}·{goal.rate:,.0f}"
    if room < wanted:
        return Need(room, f"{text}, but at most 5 % of the memory / {_TIME_WAIT_SOCKET} B")
    return Need(wanted, f"{text}, {wanted * _TIME_WAIT_SOCKET >> 20:,} MiB when full")


def conntrack_entries(goal: Goal, time_wait: int) -> Need:
    """Entries of connection tracking: every connection keeps one for its life and its TIME_WAIT there."""
    value = math.ceil(1.2 * goal.rate * (time_wait + goal.life))
    text = f"1.2·rate·(time_wait + life) = 1.2·{goal.rate:,.0f}·({time_wait} + {goal.life:g})"
    return Need(value, f"{text}, {value * _CONNTRACK_ENTRY >> 20:,} MiB when full")


def packets_per_processor(goal: Goal, processors: int) -> Need:
    """Packets that may wait between card and protocol: what one processor gets in a tenth of a second."""
    each = goal.rate * PACKETS / max(1, processors)
    value = max(1000, math.ceil(each * ORDINARY_STALL))
    return Need(value, f"max(1000, {ORDINARY_STALL:g} s·{PACKETS}·rate/{processors} processors)")


def softirq_processors(goal: Goal) -> Need:
    """Processors that must share the kernel's part, none more than half busy with it."""
    busy = goal.rate * SOFTIRQ_PER_CONNECTION
    value = max(1, math.ceil(busy / 0.5))
    text = f"rate·{SOFTIRQ_PER_CONNECTION * 1e6:.0f} µs = {busy:.2f} processors, none above a half"
    return Need(value, text)


def processors(goal: Goal) -> Need:
    """Processors for everything."""
    busy = goal.rate * CPU_PER_CONNECTION
    return Need(max(1, math.ceil(busy)), f"rate·{CPU_PER_CONNECTION * 1e6:.0f} µs = {busy:.2f} processors")


def memory(goal: Goal) -> Need:
    """Bytes that the service needs with all its queues full."""
    queued = accept_queue(goal).value * goal.workers
    alive = math.ceil(goal.rate * (goal.stall + goal.life))
    value = goal.workers * _WORKER + _SUPERVISOR + queued * _QUEUED + alive * _SOCKET
    text = f"workers·60 MiB + 80 MiB + {queued:,} queued·{_QUEUED / 1000:g} kB + {alive:,} open·{_SOCKET / 1000:g} kB"
    return Need(value, text)


def bandwidth(goal: Goal) -> Need:
    """Mbit/s of short connections, both ways counted as one."""
    value = math.ceil(goal.rate * 10 * 80 * 8 / 1e6)
    return Need(value, f"rate·10 packets·80 B·8 = {value:,} Mbit/s")
