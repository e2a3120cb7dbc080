"""What a call costs a program that counts: this project's client and those that people use, in turn.

Each client makes the same calls in a process of its own: counters of 100 names, then timings of them. "caller" is the
CPU time of the thread that calls, for one call; "all" that of the whole process, with what the client does in the
background and until it is closed. What they send goes to sockets of this process: connections are read, datagrams are
left to the kernel, which drops them when its buffer is full.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import json
import platform
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median
from typing import Any

CHECKOUT = Path(__file__).parents[2]
NAMES = [f"shop.page{number}.hits" for number in range(100)]
TAGS = ["env:test", "page:1"]

Call = Callable[[str], object]
Client = tuple[Call, Call, Callable[[], object]]
"""Count one, time one, and close."""


def _own(port: int, **_: int) -> Client:
    client = package("statsd_tcp_client").StatsClient("127.0.0.1", port)
    return client.incr, lambda name: client.timing(name, 320), client.close


def _own_tagged(port: int, **_: int) -> Client:
    client = package("statsd_tcp_client").StatsClient("127.0.0.1", port, dialect="dogstatsd")
    return (
        lambda name: client.incr(name, tags=TAGS),
        lambda name: client.timing(name, 320, tags=TAGS),
        client.close,
    )


def _datadog(udp: int, **more: Any) -> Client:
    base = package("datadog.dogstatsd.base")
    client = base.DogStatsd(host="127.0.0.1", port=udp, disable_telemetry=True, **more)

    def close() -> None:
        client.flush()
        client.stop()

    return client.increment, lambda name: client.timing(name, 320), close


def _datadog_singly(udp: int, **_: int) -> Client:
    return _datadog(udp, disable_buffering=True)


def _datadog_buffered(udp: int, **_: int) -> Client:
    return _datadog(udp, disable_buffering=False, disable_aggregation=True)


def _datadog_added_up(udp: int, **_: int) -> Client:
    return _datadog(udp, disable_buffering=False, disable_aggregation=False)


def _datadog_tagged(udp: int, **_: int) -> Client:
    client = package("datadog.dogstatsd.base").DogStatsd(
        host="127.0.0.1", port=udp, disable_telemetry=True, disable_buffering=False, disable_aggregation=False
    )

    def close() -> None:
        client.flush()
        client.stop()

    return (
        lambda name: client.increment(name, tags=TAGS),
        lambda name: client.timing(name, 320, tags=TAGS),
        close,
    )


def _statsd_udp(udp: int, **_: int) -> Client:
    client = package("statsd").StatsClient("127.0.0.1", udp)
    return client.incr, lambda name: client.timing(name, 320), client.close


def _statsd_tcp(port: int, **_: int) -> Client:
    client = package("statsd").TCPStatsClient("127.0.0.1", port)
    return client.incr, lambda name: client.timing(name, 320), client.close


def package(name: str) -> Any:
    """Import a client's package, or this project's from the checkout."""
    # The client is not installed here: it is a distribution of its own.
    sys.path.insert(0, str(CHECKOUT / "client"))
    return importlib.import_module(name)


CLIENTS: dict[str, Callable[..., Client]] = {
    "statsd-tcp-client": _own,
    "statsd-tcp-client, tags": _own_tagged,
    "datadog, added up": _datadog_added_up,
    "datadog, added up, tags": _datadog_tagged,
    "datadog, buffered": _datadog_buffered,
    "datadog, singly": _datadog_singly,
    "statsd, UDP": _statsd_udp,
    "statsd, TCP": _statsd_tcp,
}

LOOPS = ("statsd-tcp-client, asyncio", "aiodogstatsd")
"""Clients of asyncio: the loop runs after every hundred calls."""


def _measure(client: Client, calls: int) -> dict[str, float]:
    count, note, close = client
    figures: dict[str, float] = {}
    whole = time.process_time()
    for kind, call in (("count", count), ("time", note)):
        begun = time.thread_time()
        for _ in range(calls // len(NAMES)):
            for name in NAMES:
                call(name)
        figures[kind] = (time.thread_time() - begun) / calls
    close()
    figures["all"] = (time.process_time() - whole) / calls / 2
    return figures


async def _measure_loop(name: str, port: int, udp: int, calls: int) -> dict[str, float]:
    count, note, close = await _loop_client(name, port, udp)
    figures: dict[str, float] = {}
    whole = time.process_time()
    for kind, call in (("count", count), ("time", note)):
        spent = 0.0
        for _ in range(calls // len(NAMES)):
            begun = time.thread_time()
            for each in NAMES:
                call(each)
            spent += time.thread_time() - begun
            await asyncio.sleep(0)
        figures[kind] = spent / calls
    await close()
    figures["all"] = (time.process_time() - whole) / calls / 2
    return figures


async def _loop_client(name: str, port: int, udp: int) -> tuple[Call, Call, Callable[[], Awaitable[object]]]:
    if name == "aiodogstatsd":
        client = package("aiodogstatsd").Client(host="127.0.0.1", port=udp)
        await client.connect()
        return client.increment, lambda each: client.timing(each, value=320), client.close
    own = package("statsd_tcp_client.asyncio.client").StatsClient("127.0.0.1", port)
    return own.incr, lambda each: own.timing(each, 320), own.close


class _Sinks:
    """A port that is read and one for datagrams that is not."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._datagrams.bind(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.udp: int = self._datagrams.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection:
                while connection.recv(1 << 20):
                    pass


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--calls", type=int, default=100_000, help="calls of each kind (default 100000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds over all clients; the median counts (default 5)")


def _version(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return f"no {name}"


def run(options: argparse.Namespace) -> int:
    """Measure all clients in turn and print a table."""
    sinks = _Sinks()
    names = [*CLIENTS, *LOOPS]
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in names}
    failed = 0
    for _ in range(options.rounds):
        for name in names:
            words = [name, str(sinks.port), str(sinks.udp), str(options.calls)]
            once = subprocess.run(
                [sys.executable, "-m", "benchmarks.micro.calls", *words],
                stdout=subprocess.PIPE,
                cwd=CHECKOUT,
                check=False,
            )
            if once.returncode:
                failed += 1
            else:
                figures[name].append(json.loads(once.stdout))
    packages = ", ".join(_version(name) for name in ("datadog", "statsd", "aiodogstatsd"))
    print(f"Python {platform.python_version()}, {packages}")
    print(f"{options.rounds} rounds of {options.calls} calls of each kind; microseconds a call")
    print(f"{'':30}{'count':>8}{'time':>8}{'all':>8}{'ratio of count':>17}")
    first = _median(figures[names[0]], "count")
    for name in names:
        row = [_median(figures[name], key) for key in ("count", "time", "all")]
        print(f"{name:30}" + "".join(f"{each * 1e6:8.2f}" for each in row) + f"{row[0] / first:17.1f}")
    return int(failed > 0)


def _median(figures: list[dict[str, float]], key: str) -> float:
    return median(each[key] for each in figures) if figures else float("nan")


def main(words: list[str]) -> int:
    """Measure one client, in a process of its own, and print the figures."""
    name, port, udp, calls = words[0], int(words[1]), int(words[2]), int(words[3])
    if name in LOOPS:
        figures = asyncio.run(_measure_loop(name, port, udp, calls))
    else:
        figures = _measure(CLIENTS[name](port=port, udp=udp), calls)
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
