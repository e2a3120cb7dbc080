"""What it costs to count where connections and datagrams come from: a worker's lanes with and without it, in turns.

Both are in one process, and take turns after each 128 connections, so that what else the machine does meets both. What
is measured is the processor's time of the lane alone, with the kernel's part of it: accept, read, close, count.
"""

from __future__ import annotations

import argparse
import random
import socket
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks.guard.hot_path import CLIENTS, Scene, close, send
from statsd_tcp import native
from statsd_tcp.ingest.datagrams import DatagramLane
from statsd_tcp.ingest.lane import AcceptLane

DATAGRAMS = 256
PAIRS = 300

Measure = Callable[[], float]
"""Does one batch; returns the microseconds of the processor for each connection or datagram."""


class Senders:
    """Addresses of this machine, from which clients come by chance."""

    def __init__(self, number: int) -> None:
        self._number = number
        self._chance = random.Random(18)

    def address(self) -> tuple[str, int]:
        """One of them."""
        number = self._chance.randrange(self._number)
        return f"127.1.{number >> 8}.{number & 255}", 0


def connections(senders: Senders, *, native: bool, who: bool, lines: bool) -> Measure:
    """Connections on a port of one kind."""
    scene = Scene(native=native, who=who)
    lane: AcceptLane = scene.line_lane() if lines else scene.count_lane()
    scene.begin(lane)

    def batch() -> float:
        address = scene.listener.getsockname()
        clients = [socket.create_connection(address, source_address=senders.address()) for _ in range(CLIENTS)]
        if lines:
            send(clients)
        before = time.thread_time_ns()
        scene.tick()
        taken = time.thread_time_ns() - before
        close(clients)
        scene.forget()
        return taken / CLIENTS / 1000

    return batch


def datagrams(senders: Senders, *, native: bool, who: bool, lines: int) -> Measure:
    """Datagrams of some lines each, up to what is read at once."""
    scene = Scene(native=native, who=who)
    port = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    port.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 22)
    port.bind(("127.0.0.1", 0))
    lane: DatagramLane = scene.datagram_lane(port)
    number = min(DATAGRAMS, 2000 // lines)
    clients = []
    for _ in range(number):
        client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        client.bind(senders.address())
        client.connect(port.getsockname())
        clients.append(client)

    def batch() -> float:
        for which, client in enumerate(clients):
            client.send(b"".join(b"app.page%d.hits:1|c\n" % ((which + line) % 1000) for line in range(lines)))
        before = time.thread_time_ns()
        taken = lane.poll()
        scene.intake.settle()
        spent = time.thread_time_ns() - before
        if taken != number:
            raise AssertionError(f"{taken} of {number} datagrams were there")
        scene.forget()
        return spent / number / 1000

    return batch


def add_arguments(options: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_argument("--pairs", type=int, default=PAIRS, metavar="N", help=f"turns of both (default {PAIRS})")
    options.add_argument("--sources", type=int, default=10_000, metavar="N", help="addresses (default 10000)")


def run(arguments: argparse.Namespace) -> int:
    """Measure everything, and print a table."""
    senders = Senders(arguments.sources)
    table = Table("lane", "without, us", "with, us", "more, us", "more")
    for name, make in cases(senders):
        without, counted = make(False), make(True)
        pairs = [(without(), counted()) for _ in range(arguments.pairs)][arguments.pairs // 10 :]
        base, more = median(one for one, _ in pairs), median(other - one for one, other in pairs)
        table.add_row(
            name, f"{base:.2f}", f"{median(other for _, other in pairs):.2f}", f"{more:+.2f}", f"{more / base:+.1%}"
        )
        Console(stderr=True).print(name)
    Console().print(table)
    return 0


def cases(senders: Senders) -> list[tuple[str, Callable[[bool], Measure]]]:
    """What is measured, in C and in Python; each makes a lane that counts sources, or does not."""
    found: list[tuple[str, Callable[[bool], Measure]]] = []
    for in_c in (True, False) if native.BUILT else (False,):
        where = "in C" if in_c else "in Python"
        for name, make, keywords in KINDS:
            found.append((f"{name} {where}", _made(make, senders, native=in_c, **keywords)))
    return found


KINDS: tuple[tuple[str, Callable[..., Measure], dict[str, Any]], ...] = (
    ("bare connections", connections, {"lines": False}),
    ("connections of one line", connections, {"lines": True}),
    ("datagrams of one line", datagrams, {"lines": 1}),
    ("datagrams of 40 lines", datagrams, {"lines": 40}),
)


def _made(make: Callable[..., Measure], senders: Senders, **keywords: Any) -> Callable[[bool], Measure]:
    return lambda who: make(senders, who=who, **keywords)
