"""A program that counts at a pace with this project's client; run as a process of its own.

python -m benchmarks.pooling.calls PLAN      prints one line of JSON
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from typing import Any

import msgspec

from benchmarks.micro.calls import package

NAMES = 1000
LINES = 65_536
"""Different calls, in an order of no meaning, as the C programs have them."""
NAP = 0.001
"""Seconds between two bursts of calls."""
CLOSE_TIMEOUT = 30.0
ROOM = 16 << 20
"""Bytes for numbers with ``timers``: the usual 1 MiB is less than 100,000 values."""

Words = tuple[Any, ...]


class Plan(msgspec.Struct, frozen=True):
    """How to call: ``rate`` in calls a second, for ``seconds``, counters or ``timers``."""

    port: int
    level: str
    pool: int
    rate: float
    seconds: float
    timers: bool


class Called(msgspec.Struct, frozen=True):
    """What the client's books say at the end, and seconds of this process's CPU.

    ``elapsed_s`` ends with the last call, ``cpu_s`` with the end of `close`. ``pacing_s`` of it went into sleeping and
    waking between the bursts.
    """

    made: int
    confirmed: int
    dropped: int
    in_doubt: int
    batches: int
    connections: int
    elapsed_s: float
    cpu_s: float
    pacing_s: float


def lines(*, timers: bool) -> Iterator[Words]:
    """The arguments of one call after the other, without end."""
    chance = random.Random(1)
    kind = "t" if timers else "c"
    names = [f"bench.{kind}{number:06}" for number in range(NAMES)]
    if timers:
        return cycle([(chance.choice(names), chance.randrange(100, 1000)) for _ in range(LINES)])
    return cycle([(chance.choice(names),) for _ in range(LINES)])


def at_pace(call: Callable[..., object], words: Iterator[Words], plan: Plan) -> tuple[int, float, float]:
    """Call what is due every millisecond; return the calls, the seconds, and this thread's CPU between the bursts."""
    made, calling, at_first, begun = 0, 0.0, time.thread_time(), time.monotonic()
    while (elapsed := time.monotonic() - begun) < plan.seconds:
        due = int(elapsed * plan.rate) - made
        before = time.thread_time()
        for each in islice(words, due):
            call(*each)
        calling += time.thread_time() - before
        made += due
        time.sleep(NAP)
    return made, elapsed, time.thread_time() - at_first - calling


def count(plan: Plan) -> Called:
    """Call as planned, and close."""
    room = {"max_bytes": ROOM} if plan.timers else {}
    words = lines(timers=plan.timers)
    client = package("statsd_tcp_client").StatsClient("127.0.0.1", plan.port, level=plan.level, pool=plan.pool, **room)
    begun = time.process_time()
    made, elapsed, pacing = at_pace(client.timing if plan.timers else client.incr, words, plan)
    client.close(CLOSE_TIMEOUT)
    used, stats = time.process_time() - begun, client.stats()
    if stats.made != made:
        raise AssertionError(f"{made} calls were made, the client has {stats.made}")
    return Called(
        made=made,
        confirmed=stats.confirmed,
        dropped=sum(stats.dropped.values()),
        in_doubt=stats.in_doubt,
        batches=stats.batches,
        connections=stats.connections,
        elapsed_s=elapsed,
        cpu_s=used,
        pacing_s=pacing,
    )


if __name__ == "__main__":
    print(msgspec.json.encode(count(msgspec.json.decode(sys.argv[1], type=Plan))).decode())
