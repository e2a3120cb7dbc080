"""What a client can make grow, all of it at once: how much memory that takes, and what it costs everyone else.

One thing after the other is brought to its bound and beyond, and stays there: open connections with unfinished lines,
values of timers, members of sets, names, names with long tags, scrapes that are not read. Meanwhile a client
sends one line a hundred times a second, and asks for ``/healthz``.
"""

import argparse
import resource
import socket
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from itertools import islice
from pathlib import Path

from rich.table import Table

from benchmarks.accept import proc, report
from benchmarks.accept.service import Service
from benchmarks.programs import ToolError
from benchmarks.running import print_facts

WORKERS = 2
PATIENCE = 120.0
SETTLE = 12.0
"""Seconds that pass behind each step: a flush ends in them, and its result is made."""


def add_arguments(options: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_argument("--scale", type=float, default=1.0, metavar="F", help="part of each amount (default 1)")


class Neighbour:
    """A client like all others: what it waits for the end of its connection, and for ``/healthz``, at most."""

    def __init__(self, server: Service) -> None:
        self._server = server
        self._over = threading.Event()
        self._threads = [threading.Thread(target=each, daemon=True) for each in (self._send, self._ask)]
        self.connection = self.health = 0.0
        self.failed = 0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Be there as long as the block lasts."""
        for thread in self._threads:
            thread.start()
        yield
        self._over.set()
        for thread in self._threads:
            thread.join()

    def longest(self) -> tuple[float, float]:
        """The longest waits since the last call, in milliseconds."""
        found = self.connection * 1e3, self.health * 1e3
        self.connection = self.health = 0.0
        return found

    def _send(self) -> None:
        while not self._over.wait(0.01):
            began = time.monotonic()
            try:
                with socket.create_connection(("127.0.0.1", self._server.port), timeout=PATIENCE) as client:
                    client.sendall(b"neighbour:1|c\n")
                    client.shutdown(socket.SHUT_WR)
                    client.recv(1)
            except OSError:
                self.failed += 1
            self.connection = max(self.connection, time.monotonic() - began)

    def _ask(self) -> None:
        while not self._over.wait(0.1):
            began = time.monotonic()
            try:
                urllib.request.urlopen(f"{self._server.site}/healthz", timeout=PATIENCE).close()
            except OSError:
                self.failed += 1
            self.health = max(self.health, time.monotonic() - began)


def send(server: Service, lines: Iterator[bytes]) -> None:
    """Send lines over a kept connection for each of some clients, in turn, and wait for their ends."""
    with ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE))
            for _ in range(2 * WORKERS)
        ]
        at = 0
        while block := b"".join(islice(lines, 500)):
            clients[at % len(clients)].sendall(block)
            at += 1
        for client in clients:
            client.shutdown(socket.SHUT_WR)
            client.recv(1)


def values(number: int) -> Iterator[bytes]:
    """Values of 200 timers, all different."""
    return (b"timer%d:%d.%d|ms\n" % (at % 200, at, at % 7) for at in range(number))


def members(number: int) -> Iterator[bytes]:
    """Members of 40 sets, all different."""
    return (b"set%d:member-%d|s\n" % (at % 40, at) for at in range(number))


def names(number: int) -> Iterator[bytes]:
    """Counters, all different."""
    return (b"name%d:1|c\n" % at for at in range(number))


def tags(number: int) -> Iterator[bytes]:
    """Counters with a hundred tags, 2 kB each, all different."""
    rest = b",".join(b"key%d:value-%d" % (at, at) for at in range(99))
    return (b"tagged:1|c|#id:%d,%s\n" % (at, rest) for at in range(number))


def hold_unfinished(server: Service, held: ExitStack, number: int) -> None:
    """Open connections that send most of a line and no more."""
    for _ in range(number):
        with suppress(OSError):
            client = held.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=PATIENCE))
            client.sendall(b"x" * 8000)


def hold_scrapes(server: Service, held: ExitStack, number: int) -> None:
    """Ask for pages and read nothing."""
    for _ in range(number):
        with suppress(OSError):
            client = held.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", int(server.site.rpartition(":")[2])))
            client.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n")


def peak(pids: list[int]) -> float:
    """The most that any of these processes ever held, in MiB."""
    return max(_high_water(pid) for pid in pids)


def _high_water(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def measure(scale: float) -> Table:
    """Do one thing after the other, and give what each took."""
    made = Table(title="everything at once", title_justify="left")
    headings = ("worker MiB", "supervisor MiB", "peaks", "longest wait ms", "/healthz ms", "seconds")
    made.add_column("step")
    for heading in headings:
        made.add_column(heading, justify="right")
    server = Service("lines", workers=WORKERS)
    neighbour = Neighbour(server)
    try:
        with ExitStack() as held, neighbour.watching():
            for name, step in steps(server, held, scale).items():
                began = time.monotonic()
                step()
                time.sleep(SETTLE)
                made.add_row(name, *_figures(server, neighbour, time.monotonic() - began))
                print(name, file=sys.stderr)
    finally:
        server.stop()
    made.caption = f"{neighbour.failed} of the neighbour's requests failed"
    return made


def steps(server: Service, held: ExitStack, scale: float) -> dict[str, Callable[[], None]]:
    """What is done, by name, in its order."""

    def amount(number: int) -> int:
        return max(1, round(number * scale))

    return {
        "nothing": lambda: None,
        f"{amount(10_000):,} unfinished lines": lambda: hold_unfinished(server, held, amount(10_000)),
        f"{amount(3_000_000):,} values": lambda: send(server, values(amount(3_000_000))),
        f"{amount(1_500_000):,} members of sets": lambda: send(server, members(amount(1_500_000))),
        f"{amount(600_000):,} names": lambda: send(server, names(amount(600_000))),
        f"{amount(80_000):,} names with 100 tags": lambda: send(server, tags(amount(80_000))),
        "128 scrapes that are not read": lambda: hold_scrapes(server, held, 128),
    }


def _figures(server: Service, neighbour: Neighbour, seconds: float) -> list[str]:
    worker = max(proc.memory([pid]).rss for pid in server.workers)
    supervisor = proc.memory(server.others).rss
    peaks = f"{peak(server.workers):,.0f} / {peak(server.others):,.0f}"
    waits = [f"{wait:,.0f}" for wait in neighbour.longest()]
    return [f"{worker:,.0f}", f"{supervisor:,.0f}", peaks, *waits, f"{seconds:.0f}"]


def run(arguments: argparse.Namespace) -> int:
    """Measure; the status is 0 when it came about."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    console = report.tables()
    print_facts(console, arguments)
    try:
        console.print(measure(arguments.scale))
    except (ToolError, OSError) as error:
        console.print(f"[red]{error}[/red]")
        return 1
    return 0
