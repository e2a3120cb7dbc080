"""Limits of a source that several processes keep at the same moment."""

from __future__ import annotations

import os
import time

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.clock import NANOSECONDS
from statsd_tcp.who.layout import MAPPED
from statsd_tcp.who.limit_memory import ACTIVE, LimitMemory, LimitPlan
from statsd_tcp.who.limits import SourceLimits

WRITERS, ATTEMPTS = 3, 1500
RATE, BURST = 1000, 50
ONE = MAPPED + bytes((192, 0, 2, 1))


class WritersTests(SynchronousTestCase):
    """Several writers, without a lock."""

    def test_rate(self) -> None:
        """What they admit together is the rate, to plus or minus one burst."""
        interval = NANOSECONDS // RATE
        plan = LimitPlan(tuple(range(1 << 40, (1 << 40) + 7)), WRITERS, interval, BURST * interval, sets=1)
        memory = LimitMemory.make(plan)
        memory.cells[ACTIVE] = WRITERS
        began = time.monotonic_ns()
        children = [self.fork(memory, column) for column in range(WRITERS)]
        admitted = sum(int.from_bytes(os.read(pipe, 8), "little") for _, pipe in children)
        elapsed = (time.monotonic_ns() - began) / NANOSECONDS
        for pid, pipe in children:
            os.close(pipe)
            os.waitpid(pid, 0)
        self.assertGreaterEqual(admitted, BURST)
        self.assertLessEqual(admitted, RATE * elapsed + 2 * BURST)

    def fork(self, memory: LimitMemory, column: int) -> tuple[int, int]:
        """Let a process connect as often as it can; return it, and where it says how often it was admitted."""
        read, write = os.pipe()
        pid = os.fork()
        if pid:
            os.close(write)
            return pid, read
        try:
            limits = SourceLimits(memory, column)
            admitted = sum(limits.admits(ONE, 0) for _ in range(ATTEMPTS))
            os.write(write, admitted.to_bytes(8, "little"))
        finally:
            os._exit(0)
