"""One measurement of one way of sending; run as a process of its own.

python -m benchmarks.pooling.measure SPECIFICATION      prints one line of JSON
"""

import re
import sys

import msgspec

from benchmarks import measurement
from benchmarks.accept import proc
from benchmarks.accept.measure import wait_until_done
from benchmarks.accept.service import settled
from benchmarks.pooling.ways import WAYS, Load, Sent, Target, Way

WARM_UP = 0.5
"""Seconds of the same before the clock starts."""
TOTALS = re.compile(r"^bench_(?:c\d+(?:_total)?|t\d+_count) (\S+)$", re.MULTILINE)


class Specification(measurement.Specification, frozen=True, kw_only=True):
    """What to measure; ``workload`` is the way of sending."""

    rate: float
    timers: bool
    pool: int


class Measured(msgspec.Struct, frozen=True):
    """One measurement: the senders' books, what the service's totals rose by, and seconds of CPU.

    ``waited_s`` is how long the worker was ready and had no CPU.
    """

    sent: Sent
    counted: int
    worker_s: float
    supervisor_s: float
    waited_s: float


def total(target: Target) -> int:
    """The sum of the counters and of the timers' counts that the service publishes."""
    return int(sum(float(value) for value in TOTALS.findall(target.get("/metrics").decode())))


def take(target: Target, way: Way, load: Load) -> Measured:
    """Send for a moment, then for as long as was asked for, and compare the books."""
    way.send(target, load._replace(seconds=WARM_UP))
    wait_until_done(target)
    first = settled(lambda: total(target), bool)
    before, others_before = proc.usage(target.workers), proc.usage(target.others)
    sent = way.send(target, load)
    wait_until_done(target)
    worker, others = proc.usage(target.workers).since(before), proc.usage(target.others).since(others_before)
    wanted = first + (0 if way.lossy else sent.lines)
    counted = settled(lambda: total(target), lambda found: found >= wanted) - first
    return Measured(sent, counted, worker.on_cpu_ns / 1e9, others.on_cpu_ns / 1e9, worker.waiting_ns / 1e9)


def measure(spec: Specification) -> Measured:
    """Start the service, measure, and clean up."""
    target = Target(spec.server_cpu)
    try:
        load = Load(spec.rate, spec.seconds, spec.timers, spec.pool, spec.client_cpu)
        return take(target, WAYS[spec.workload], load)
    finally:
        target.stop()


if __name__ == "__main__":
    sys.exit(measurement.answer(sys.argv[1], Specification, measure))
