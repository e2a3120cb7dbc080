"""What the clients send."""

from dataclasses import dataclass
from typing import Literal

Transport = Literal["tcp", "udp", "unixgram"]


@dataclass(frozen=True)
class Workload:
    """Lines of one kind, over one transport.

    ``lines`` is how many are in a datagram, ``rate`` how many datagrams a second, 0 for as fast as it goes. Over TCP
    four clients send as fast as they can.
    """

    name: str
    title: str
    transport: Transport
    arguments: tuple[str, ...] = ()
    lines: int = 1
    rate: float = 0.0


_MANY = ("--names", "20000")
_TIMERS = ("--timers",)
_SEGMENTS = ("--segments", "32")

_ALL = (
    Workload("counters", "counters of 1,000 series over 4 connections that stay", "tcp"),
    Workload("counters-many", "counters of 20,000 series over 4 connections that stay", "tcp", _MANY),
    Workload("timers", "timers of 1,000 series, 900 values each, over 4 connections that stay", "tcp", _TIMERS),
    Workload("udp", "UDP, one counter in a datagram, 100,000 a second", "udp", lines=1, rate=100_000),
    Workload("udp-double", "UDP, one counter in a datagram, 200,000 a second", "udp", lines=1, rate=200_000),
    Workload("udp-packed", "UDP, 40 counters in a datagram, 20,000 a second", "udp", lines=40, rate=20_000),
    Workload("udp-segments", "UDP, one counter in a datagram, 32 in one send", "udp", _SEGMENTS, 1, 100_000),
    Workload("udp-flood", "UDP, one counter in a datagram, as fast as the client can", "udp"),
    Workload("unixgram", "Unix datagrams, one counter in each, as fast as the server takes them", "unixgram"),
    Workload(
        "unixgram-packed", "Unix datagrams, 40 counters in each, as fast as the server takes them", "unixgram", lines=40
    ),
)

WORKLOADS = {workload.name: workload for workload in _ALL}
DEFAULT = ("counters", "counters-many", "timers", "udp", "udp-packed")
"""The rows that all servers can do, without losses where they keep up."""
