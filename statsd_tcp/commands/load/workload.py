"""What is to be done, as plain data that can be sent to other processes: addresses, payloads, times. Pure."""

from __future__ import annotations

import math
import socket
from dataclasses import dataclass
from enum import StrEnum

from statsd_tcp.commands.load.proxy import Proxy
from statsd_tcp.commands.load.shapes import Close, Mix, Shape

__all__ = [
    "CONFIRMATION",
    "Address",
    "Mode",
    "Share",
    "Workload",
    "payload",
    "per_connection",
    "source_addresses",
    "touched_lines",
]


CONFIRMATION = b"ok\n"
"""What a listener with ``confirm=read`` sends before its end."""


class Mode(StrEnum):
    """What a connection is for."""

    CONNECT = "connect"
    """Nothing but itself."""
    LINE = "line"
    """One line."""
    LINES = "lines"
    """Several lines at once."""
    KEPT = "kept"
    """Lines again and again, as long as the run lasts."""
    MIX = "mix"
    """Connections of several shapes."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the server listens: a numeric host, and its family."""

    family: socket.AddressFamily
    host: str
    port: int


@dataclass(frozen=True, slots=True)
class Workload:
    """One whole run, in one process or several. Times in seconds.

    ``rate`` None is as fast as possible. It counts connections, but lines where connections are kept.
    ``connections`` or ``duration`` may be None, not both: whichever comes first ends the run. ``confirm``: each
    connection must get the server's confirmation. ``mix`` is for the mode of that name. With ``proxy`` each connection
    begins with a balancer's header.
    """

    address: Address
    sources: tuple[str, ...]
    mode: Mode
    close: Close
    line: str
    lines: int
    late: float
    timeout: float
    rate: float | None
    connections: int | None
    duration: float | None
    concurrency: int
    confirm: bool = False
    mix: Mix | None = None
    proxy: Proxy | None = None

    @property
    def shapes(self) -> Mix:
        """What its connections do; where they are kept, what each of them does at every send."""
        return self.mix or Mix([(Shape(self.mode, self.close, self.lines, self.late), 1.0)])

    @property
    def ports(self) -> set[int]:
        """The ports that it goes to."""
        return {shape.port or self.address.port for shape in self.shapes.shapes}


@dataclass(frozen=True, slots=True)
class Share:
    """One process's part of a run: every ``of``-th connection (or send) from number ``position`` on."""

    work: Workload
    position: int
    of: int

    def number(self, index: int) -> int:
        """Return the number, in the whole run, of this share's connection (or send) ``index``."""
        return index * self.of + self.position

    def offset(self, index: int) -> float:
        """Return the seconds from the run's begin to the time at which ``index`` is due, for a given rate."""
        return self.number(index) / self.begins_per_second

    @property
    def begins_per_second(self) -> float:
        """The whole run's connections (kept: sends) per second; infinite without a given rate."""
        if self.work.rate is None:
            return math.inf
        return self.work.rate / self.work.lines if self.work.mode is Mode.KEPT else self.work.rate

    @property
    def connections(self) -> float:
        """How many connections this share may begin; infinite if only time ends the run."""
        if self.work.connections is None:
            return math.inf
        return self._part(self.work.connections)

    @property
    def concurrency(self) -> int:
        """How many of this share's connections may be open at once."""
        return self._part(self.work.concurrency)

    def _part(self, whole: int) -> int:
        return len(range(self.position, whole, self.of))


def source_addresses(count: int) -> tuple[str, ...]:
    """Name ``count`` different loopback addresses, none of them 127.0.0.1 and none ending in 0 or 255."""
    per_third = 254
    return tuple(f"127.1.{index // per_third}.{index % per_third + 1}" for index in range(count))


def per_connection(template: str) -> bool:
    """Return whether a line differs from one connection to the next."""
    return "{connection}" in template


def payload(template: str, lines: int, connection: int) -> bytes:
    """Write what one connection (or one send) says: ``lines`` complete lines."""
    text = template.replace("{connection}", str(connection)) + "\n"
    if "{line}" not in text:
        return text.encode() * lines
    return "".join(text.replace("{line}", str(number)) for number in range(lines)).encode()


def touched_lines(sent: bytes) -> int:
    """Count the lines of which at least one byte is in ``sent``: the most that a server may have counted."""
    return sent.count(b"\n") + (not sent.endswith(b"\n") and bool(sent))
