"""Limits of a source that several processes keep at the same moment."""

from __future__ import annotations

import subprocess
import sys
import time

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.clock import NANOSECONDS
from statsd_tcp.who.layout import MAPPED
from statsd_tcp.who.limit_memory import ACTIVE, LimitMemory, LimitPlan

WRITERS, ATTEMPTS = 3, 1500
RATE, BURST = 1000, 50
ONE = MAPPED + bytes((192, 0, 2, 1))

WRITER = """
import sys
from statsd_tcp.who.limit_memory import LimitMemory
from statsd_tcp.who.limits import SourceLimits

descriptor, column, attempts, source = sys.argv[1:]
limits = SourceLimits(LimitMemory(int(descriptor)), int(column))
print("ready", flush=True)
sys.stdin.read()
print(sum(limits.admits(bytes.fromhex(source), 0) for _ in range(int(attempts))))
"""
"""Connects as often as it can from when its input ends, and says how often it was admitted."""


class WritersTests(SynchronousTestCase):
    """Several writers, without a lock."""

    def test_rate(self) -> None:
        """What they admit together is the rate, to plus or minus one burst."""
        interval = NANOSECONDS // RATE
        plan = LimitPlan(tuple(range(1 << 40, (1 << 40) + 7)), WRITERS, interval, BURST * interval, sets=1)
        memory = LimitMemory.make(plan)
        memory.cells[ACTIVE] = WRITERS
        writers = [self.writer(memory, column) for column in range(WRITERS)]
        for writer in writers:
            self.assertEqual("ready\n", writer.stdout and writer.stdout.readline())
        began = time.monotonic_ns()
        for writer in writers:
            if writer.stdin is not None:
                writer.stdin.close()
        admitted = sum(int(writer.stdout.readline()) for writer in writers if writer.stdout is not None)
        elapsed = (time.monotonic_ns() - began) / NANOSECONDS
        self.assertGreaterEqual(admitted, BURST)
        self.assertLessEqual(admitted, RATE * elapsed + 2 * BURST)

    def writer(self, memory: LimitMemory, column: int) -> subprocess.Popen[str]:
        """Start a process that writes to a column, and waits until it may begin."""
        words = (memory.descriptor, column, ATTEMPTS, ONE.hex())
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            pass_fds=[memory.descriptor],
        )
        self.addCleanup(self.end, process)
        return process

    def end(self, process: subprocess.Popen[str]) -> None:
        """End a writer, whatever it does."""
        process.kill()
        with process:
            process.wait()
