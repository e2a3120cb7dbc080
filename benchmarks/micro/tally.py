"""What a line costs in the tally, by kind of traffic: nanoseconds a line, and lines per second of CPU.

No sockets and no journal: chunks of lines go into `Tally.add`, and at the end the interval is taken. The time is the
process's own CPU time, the best of some rounds. "take" is how long `Tally.take` lasted, which is how long a worker's
reactor stands still; "encoded" is the size of the interval on its way to the supervisor.
"""

from __future__ import annotations

import argparse
import platform
import random
import time
from collections.abc import Callable
from typing import NamedTuple

from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.tally import Tally
from statsd_tcp.wire.grammar import Grammar

Line = Callable[[random.Random, int], bytes]

TRAFFIC: dict[str, Line] = {
    "counters, 1000 names": lambda pick, _: b"app.page%d.hits:1|c" % pick.randrange(1000),
    "counters, 1000 names x 100 values": lambda pick, _: (
        b"app.page%d.hits:%d|c" % (pick.randrange(1000), pick.randrange(100))
    ),
    "counters, sampled, 1000 names": lambda pick, _: b"app.page%d.hits:1|c|@0.1" % pick.randrange(1000),
    "timers, 1000 names x 900 values": lambda pick, _: (
        b"app.page%d.time:%d|ms" % (pick.randrange(1000), pick.randrange(100, 1000))
    ),
    "timers, sampled": lambda pick, _: (
        b"app.page%d.time:%d|ms|@0.1" % (pick.randrange(1000), pick.randrange(100, 1000))
    ),
    "timers, decimals": lambda pick, _: b"app.page%d.time:%.2f|ms" % (pick.randrange(1000), pick.random() * 1000),
    "timers, DogStatsD tags": lambda pick, _: (
        b"app.time:%d|ms|#env:prod,host:h%d,page:p%d"
        % (pick.randrange(100, 1000), pick.randrange(10), pick.randrange(100))
    ),
    "timers, 10 values packed": lambda pick, _: (
        b"app.page%d.time:%s|ms"
        % (pick.randrange(1000), b":".join(b"%d" % pick.randrange(100, 1000) for _ in range(10)))
    ),
    "gauges, set": lambda pick, _: b"app.page%d.load:%d|g" % (pick.randrange(1000), pick.randrange(100, 1000)),
    "gauges, changed": lambda pick, _: b"app.page%d.load:+%d|g" % (pick.randrange(1000), pick.randrange(1, 10)),
    "sets": lambda pick, _: b"app.page%d.users:user%d|s" % (pick.randrange(100), pick.randrange(1000)),
    "counters, all names distinct": lambda _, number: b"app.page%d.hits:1|c" % number,
    "bad lines, all distinct": lambda _, number: b"app.page%d.hits" % number,
}


class Figures(NamedTuple):
    """What one kind of traffic costs: CPU seconds in all and for `take`, and bytes of the encoded interval."""

    seconds: float
    take: float
    encoded: int


def cut(lines: list[bytes], size: int) -> list[bytes]:
    """Cut a stream of these lines into chunks of about that size."""
    data = b"".join(line + b"\n" for line in lines)
    chunks = []
    begin = 0
    while begin < len(data):
        end = data.find(b"\n", begin + size) + 1 or len(data)
        chunks.append(data[begin:end])
        begin = end
    return chunks


def measure(tally: Tally, chunks: list[bytes], lines: int) -> Figures:
    """Count the chunks once."""
    begun = time.process_time()
    for tick, chunk in enumerate(chunks):
        tally.add(0, chunk, tick)
    added = time.process_time()
    interval = tally.take()
    taken = time.process_time()
    counted = interval.listeners["tcp"].lines
    if counted != lines:
        raise RuntimeError(f"{counted} lines were counted of {lines}")
    return Figures(taken - begun, taken - added, len(encode(interval)))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("--lines", type=int, default=300_000, help="lines of each kind (default 300000)")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, of which the best counts (default 3)")
    parser.add_argument("--chunk", type=int, default=1 << 16, help="bytes of a chunk (default 65536)")


def run(options: argparse.Namespace) -> int:
    """Measure all kinds of traffic and print a table."""
    print(f"Python {platform.python_version()}, {options.lines} lines of each kind, chunks of {options.chunk} bytes")
    print(f"{'':36}{'ns/line':>9}{'Mlines/CPU s':>14}{'take ms':>9}{'encoded KiB':>13}")
    for name, make in TRAFFIC.items():
        pick = random.Random(1)
        chunks = cut([make(pick, number) for number in range(options.lines)], options.chunk)
        tally = Tally([("tcp", Grammar())])
        best = min(measure(tally, chunks, options.lines) for _ in range(options.rounds))
        cost = best.seconds / options.lines * 1e9
        print(f"{name:36}{cost:9.0f}{1e3 / cost:14.2f}{best.take * 1e3:9.1f}{best.encoded / 1024:13.0f}")
    return 0
