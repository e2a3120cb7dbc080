"""What it costs to find out whether a connection is within the limit of its source: in C, without sockets.

Several sources connect in any order, to one of some workers; each worker has seen all of them. With few, what is read
is in the processor's cache; with many, it is not.
"""

import argparse
import random
import struct
import time

from rich.table import Table

from benchmarks.accept import report
from benchmarks.running import print_facts
from statsd_tcp.native import BUILT
from statsd_tcp.who.layout import KEYS, MAPPED
from statsd_tcp.who.limit_memory import ACTIVE, INTERVAL, LimitMemory, LimitPlan

SOURCES = (1, 1_000, 20_000)
WORKERS = (1, 2, 4)
NOW = 1_000_000_000_000
NETWORK = 10 << 24


def add_arguments(options: argparse.ArgumentParser) -> None:
    """Declare the options."""
    options.add_argument("--connections", type=int, default=200_000, metavar="N", help="in each round (200000)")
    options.add_argument("--rounds", type=int, default=9, metavar="N", help="of which the best counts (default 9)")


class Node:
    """Some workers and their memory, with a rate that is not reached."""

    def __init__(self, workers: int) -> None:
        keys = tuple(random.Random(1).getrandbits(64) for _ in range(KEYS))
        self._memory = LimitMemory.make(LimitPlan(keys, workers, interval=1, room=1 << 40))
        self._memory.cells[ACTIVE] = workers

    def connect(self, clients: list[bytes], worker: int = 0) -> float:
        """Let clients connect, and give the seconds of CPU that took."""
        from statsd_tcp.ingest._burst import admits

        memory, began = self._memory.view, time.process_time()
        for client in clients:
            admits(memory, worker, client, 0, NOW)
        return time.process_time() - began

    def lift(self) -> None:
        """Have no limits from now on: what is left is the call."""
        self._memory.cells[INTERVAL] = 0


def nanoseconds(sources: int, workers: int, arguments: argparse.Namespace) -> float:
    """What a connection costs, without the call from Python."""
    addresses = [MAPPED + struct.pack(">I", NETWORK + number) for number in range(sources)]
    node = Node(workers)
    for worker in range(workers):
        node.connect(addresses, worker)
    clients = [addresses[number % sources] for number in range(arguments.connections)]
    random.Random(2).shuffle(clients)
    whole = min(node.connect(clients) for _ in range(arguments.rounds))
    node.lift()
    call = min(node.connect(clients) for _ in range(arguments.rounds))
    return (whole - call) / len(clients) * 1e9


def run(arguments: argparse.Namespace) -> int:
    """Measure; the status is 0 when it came about."""
    console = report.tables()
    arguments.namespace = ()
    print_facts(console, arguments)
    if not BUILT:
        console.print("[red]the parts in C were not built[/red]")
        return 1
    made = Table(title="CPU ns for a connection, by sources and workers", title_justify="left")
    for heading in ("sources", *(f"{workers} workers" for workers in WORKERS)):
        made.add_column(heading, justify="right")
    for sources in SOURCES:
        figures = [f"{nanoseconds(sources, workers, arguments):,.0f}" for workers in WORKERS]
        made.add_row(f"{sources:,}", *figures)
    console.print(made)
    return 0
