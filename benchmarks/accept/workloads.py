"""What the clients do, and which C loop is the fair yardstick for it."""

from dataclasses import dataclass
from typing import Literal

Role = Literal["count", "lines"]
LoopMode = Literal["close", "once", "read", "epoll"]

AT_ONCE = 64
"""Clients at once in the workloads without a pace."""


@dataclass(frozen=True)
class Workload:
    """One way in which clients behave.

    Paced ones come as independent clients do, the others as fast as ``at_once`` clients can. ``unit`` is what
    the server's CPU is divided by. ``opens_first``: all connections are opened before the first line, which is no part
    of the cost.
    """

    name: str
    title: str
    role: Role
    loop: LoopMode
    mode: tuple[str, ...]
    paced: bool
    at_once: int = AT_ONCE
    unit: Literal["connection", "line"] = "connection"
    opens_first: bool = False

    def arguments(self, pace: float) -> list[str]:
        """What the generator is told, without its bounds; `pace` is in units per second."""
        timing = ["--rate", str(pace)] if self.paced else ["--concurrency", str(self.at_once)]
        return ["--mode", *self.mode, *timing]


_ALL = (
    Workload("bare", "connect, wait for the end; paced", "count", "close", ("bare",), paced=True),
    Workload("bare-busy", "connect, wait for the end; 64 at once", "count", "close", ("bare",), paced=False),
    Workload("bare-gone", "connect, close; 64 at once", "count", "close", ("bare-close",), paced=False),
    Workload("line", "one line, half-close; paced", "lines", "read", ("line-half",), paced=True),
    Workload("line-busy", "one line, half-close; 64 at once", "lines", "read", ("line-half",), paced=False),
    Workload(
        "line-late",
        "one line 5 ms after the handshake, half-close; paced",
        "lines",
        "epoll",
        ("line-late", "--late-ms", "5"),
        paced=True,
    ),
    Workload("lines", "10 lines, half-close; paced", "lines", "read", ("lines", "--lines", "10"), paced=True),
    Workload(
        "lines-64k",
        "64 KiB of counters, half-close; 4 at once",
        "lines",
        "epoll",
        ("lines", "--lines", "3641"),
        paced=False,
        at_once=4,
        unit="line",
    ),
    Workload("fire", "one line, close, wait for nothing; 64 at once", "lines", "read", ("fire",), paced=False),
    Workload(
        "fire-turns",
        "the same, the 64 taking turns after each step",
        "lines",
        "read",
        ("fire", "--in-turns"),
        paced=False,
    ),
    Workload(
        "kept",
        "counters of 1,000 series over 4 connections that stay",
        "lines",
        "epoll",
        ("kept",),
        paced=False,
        at_once=4,
        unit="line",
    ),
    Workload(
        "kept-many",
        "counters of 20,000 series over 4 connections that stay",
        "lines",
        "epoll",
        ("kept", "--names", "20000"),
        paced=False,
        at_once=4,
        unit="line",
    ),
    Workload(
        "kept-timers",
        "timers of 1,000 series over 4 connections that stay",
        "lines",
        "epoll",
        ("kept", "--timers"),
        paced=False,
        at_once=4,
        unit="line",
    ),
    Workload(
        "kept-thousand",
        "single counter lines over 1,000 connections that stay; paced",
        "lines",
        "epoll",
        ("kept", "--concurrency", "1000", "--block", "1"),
        paced=True,
        unit="line",
        opens_first=True,
    ),
)

WORKLOADS = {workload.name: workload for workload in _ALL}

DEFAULT = ("bare", "bare-busy", "line", "line-busy", "line-late", "lines", "fire", "fire-turns")
"""The rows that the bars are about, and one with more than a line."""
