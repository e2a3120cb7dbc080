"""The ways in which the same numbers are sent: by whom, over what, and what the senders say about it."""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

import msgspec

from benchmarks.accept.measure import client_problems
from benchmarks.accept.service import Service, free_ports
from benchmarks.lines.measure import SENDER
from benchmarks.pooling.calls import CLOSE_TIMEOUT, Called, Plan
from benchmarks.programs import CHECKOUT, GRACE, PATIENCE, ToolError, compiled, generate, pinned

PACKED = 40
"""Lines in a packed datagram: 760 bytes of counters."""
AT_ONCE = 64
KEPT = 4


class Target(Service):
    """This service with one worker and its usual buffers: TCP, TCP with ``confirm=stored``, and UDP."""

    def __init__(self, cpu: int | None) -> None:
        self.udp_port = self.stored_port = 0
        super().__init__("lines", cpu)

    def _command(self, counting: int, listening: int) -> list[str]:
        (self.stored_port,) = free_ports(1)
        self.udp_port = listening
        command = super()._command(counting, listening)
        command += ["--listen", f"tcp:{self.stored_port}:interface=127.0.0.1:confirm=stored"]
        return [*command, "--listen", f"udp:{listening}:interface=127.0.0.1"]


class Load(NamedTuple):
    """What to send: at most ``rate`` numbers a second, for ``seconds``, counters or timers, from one CPU."""

    rate: float
    seconds: float
    timers: bool
    pool: int
    cpu: int | None


class Datagrams(msgspec.Struct, frozen=True):
    """What the program that sends datagrams printed."""

    datagrams: int
    lines: int
    elapsed_s: float
    cpu_s: float
    pacing_s: float


class Sent(msgspec.Struct, frozen=True):
    """The senders' books, and seconds of their CPU; ``pacing_s`` of it only kept the pace, where that is known.

    ``lines`` are the numbers that were sent, one line each for those that do not add up. ``units`` says what they
    travelled in.
    """

    lines: int
    elapsed_s: float
    cpu_s: float
    units: str
    pacing_s: float = 0.0
    problems: list[str] = []


def _kind(load: Load) -> list[str]:
    return ["--timers"] if load.timers else []


def over_connections(target: Target, load: Load) -> Sent:
    """Each line in a connection of its own, as fast as 64 clients can, and not more lines than the rate allows."""
    how = ["--mode", "line-half", "--concurrency", str(AT_ONCE), *_kind(load)]
    most = int(load.rate * load.seconds)
    done = generate(target.port, how, seconds=load.seconds, count=most, cpu=load.cpu)
    return Sent(done.lines, done.elapsed_s, done.cpu_s, f"{done.completed} connections", problems=client_problems(done))


def over_kept(target: Target, load: Load) -> Sent:
    """Every line over four connections that stay."""
    how = ["--mode", "kept", "--concurrency", str(KEPT), "--rate", str(load.rate), *_kind(load)]
    done = generate(target.port, how, seconds=load.seconds, cpu=load.cpu)
    return Sent(done.lines, done.elapsed_s, done.cpu_s, f"{KEPT} connections", problems=client_problems(done))


def over_datagrams(target: Target, load: Load, *, each: int) -> Sent:
    """Some lines in each datagram."""
    how = ["--lines", str(each), "--rate", str(load.rate / each), "--seconds", str(load.seconds), *_kind(load)]
    command = [*pinned(load.cpu), str(compiled(SENDER)), "--port", str(target.udp_port), *how]
    done = msgspec.json.decode(_output(command, load.seconds + PATIENCE), type=Datagrams)
    return Sent(done.lines, done.elapsed_s, done.cpu_s, f"{done.datagrams} datagrams", done.pacing_s)


def over_pool(target: Target, load: Load, *, level: str) -> Sent:
    """With this project's client."""
    port = target.stored_port if level == "stored" else target.port
    plan = Plan(port, level, load.pool, load.rate, load.seconds, load.timers)
    command = [*pinned(load.cpu), sys.executable, "-m", "benchmarks.pooling.calls", msgspec.json.encode(plan).decode()]
    done = msgspec.json.decode(_output(command, load.seconds + CLOSE_TIMEOUT), type=Called)
    wrong = {"dropped": done.dropped, "in doubt": done.in_doubt, "not confirmed": done.made - done.confirmed}
    problems = [f"{number} {what}" for what, number in wrong.items() if number]
    units = f"{done.batches} batches, {done.connections} connections"
    return Sent(done.made, done.elapsed_s, done.cpu_s, units, done.pacing_s, problems)


def _output(command: list[str], seconds: float) -> bytes:
    run = subprocess.run(command, capture_output=True, timeout=seconds + GRACE, check=False, cwd=CHECKOUT)
    if run.returncode:
        raise ToolError(f"{shlex.join(command)}: {run.stderr.decode(errors='replace').strip()}")
    return run.stdout


@dataclass(frozen=True)
class Way:
    """One way of sending. ``lossy``: what was sent need not arrive."""

    title: str
    send: Callable[[Target, Load], Sent]
    lossy: bool = False


WAYS = {
    "connections": Way("a connection per line (C, 64 at once)", over_connections),
    "kept": Way("4 connections that stay, every line (C)", over_kept),
    "pool-sent": Way("this client, level sent (Python)", partial(over_pool, level="sent")),
    "pool-stored": Way("this client, level stored (Python)", partial(over_pool, level="stored")),
    "udp": Way("UDP, a line per datagram (C)", partial(over_datagrams, each=1), lossy=True),
    "udp-packed": Way(f"UDP, {PACKED} lines per datagram (C)", partial(over_datagrams, each=PACKED), lossy=True),
}
"""By name, in the order of the table; ratios are to the first."""
