"""What a worker costs the supervisor: CPU and system calls per second, at rest and under the same small load."""

import re
import shutil
import signal
import subprocess
import time
from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

from rich.table import Table

from benchmarks.accept import proc
from benchmarks.accept.measure import wait_until_done
from benchmarks.accept.service import Service
from benchmarks.programs import ToolError, generate

__all__ = ["BAR", "Upkeep", "measure", "table"]

LOAD = 200
"""Connections per second of the small load, over all workers, each with a line of one of 100 counters."""
CLIENTS = ["--mode", "line-half", "--rate", str(LOAD), "--names", "100"]
BAR = 1.0
"""Milliseconds of CPU per second that a further worker may cost."""
TRACED = 10.0
"""Seconds in which system calls are counted: a traced process is slow, and its CPU is not measured."""
GRACE = 10.0


class Upkeep(NamedTuple):
    """The supervisor's milliseconds of CPU and system calls per second, each at rest and under the load."""

    rest_ms: float
    load_ms: float
    rest_calls: float
    load_calls: float


def measure(workers: int, seconds: float) -> Upkeep:
    """Start that many workers and look at their supervisor; ToolError when something fails."""
    server = Service("lines", workers=workers)
    try:
        wait_until_done(server)
        rest = _milliseconds(server, seconds, [])
        load = _milliseconds(server, seconds, CLIENTS)
        return Upkeep(rest, load, _calls(server, []), _calls(server, CLIENTS))
    finally:
        server.stop()


def _spend(server: Service, seconds: float, clients: list[str]) -> None:
    if clients:
        generate(server.port, clients, seconds=seconds)
    else:
        time.sleep(seconds)


def _milliseconds(server: Service, seconds: float, clients: list[str]) -> float:
    before, began = proc.usage(server.others), time.monotonic()
    _spend(server, seconds, clients)
    used = proc.usage(server.others).since(before).on_cpu_ns / 1e6
    return used / (time.monotonic() - began)


def _calls(server: Service, clients: list[str]) -> float:
    """Return the system calls per second, by strace; not a number where there is none."""
    if shutil.which("strace") is None:
        return float("nan")
    words = ["strace", "-f", "-q", "-c", "-p", str(server.supervisor)]
    tracer = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    began = time.monotonic()
    try:
        _spend(server, TRACED, clients)
    finally:
        tracer.send_signal(signal.SIGINT)
        said = tracer.communicate(timeout=GRACE)[1]
    return total_calls(said) / (time.monotonic() - began)


def total_calls(said: str) -> int:
    """Return the number of calls in the summary of strace; ToolError when it has none."""
    found = re.search(r"^100\.00 +\S+ +(?:\S+ +)?(\d+) +(?:\d+ +)?total$", said, re.MULTILINE)
    if found is None:
        raise ToolError(f"strace did not count: {said.strip().splitlines()[-1:]}")
    return int(found[1])


def table(found: dict[int, list[Upkeep]]) -> Table:
    """One row for each number of workers, with what each of those beyond the first row's added."""
    title = f"the supervisor, at rest and with {LOAD} connections per second; bar: {BAR:g} ms/s for each further worker"
    made = Table(title=title, title_justify="left")
    made.add_column("workers", justify="right")
    for heading in ("ms/s at rest", "ms/s under load", "calls/s at rest", "calls/s under load"):
        made.add_column(heading, justify="right")
        made.add_column("per further worker", justify="right")
    first, *_ = found
    base = _middles(found[first])
    for workers, rounds in found.items():
        middle = _middles(rounds)
        cells: list[str] = []
        for value, start, digits in zip(middle, base, (2, 2, 0, 0), strict=True):
            more = f"{(value - start) / (workers - first):.{digits}f}" if workers != first else ""
            cells += [f"{value:.{digits}f}", more]
        made.add_row(str(workers), *cells)
    return made


def _middles(rounds: Sequence[Upkeep]) -> Upkeep:
    return Upkeep(*(median(figures) for figures in zip(*rounds, strict=True)))
