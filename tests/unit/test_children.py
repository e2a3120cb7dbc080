"""What adopted workers print: lines, and the end of the pipe."""

from __future__ import annotations

import os

from twisted.internet.error import ConnectionDone
from twisted.internet.testing import MemoryReactor
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.children import Printed


class PrintedTests(SynchronousTestCase):
    """A pipe with a test at its other end."""

    def setUp(self) -> None:
        """Open it."""
        self.reactor = MemoryReactor()
        self.lines: list[str] = []
        reading, self.writing = os.pipe()
        os.set_blocking(reading, False)
        self.printed = Printed(self.reactor, reading, self.lines.append)
        self.addCleanup(self.printed.close)

    def test_lines(self) -> None:
        """Each line is given when it is whole, and the last one at the end."""
        os.write(self.writing, b"one\ntw")
        self.printed.doRead()
        self.assertEqual(["one"], self.lines)
        os.write(self.writing, b"o\nrest")
        os.close(self.writing)
        self.printed.doRead()
        self.printed.doRead()
        self.assertEqual(["one", "two", "rest"], self.lines)
        self.assertEqual((-1, []), (self.printed.fileno(), self.reactor.getReaders()))

    def test_nothing_yet(self) -> None:
        """Being called without need does no harm."""
        self.printed.doRead()
        self.assertEqual([], self.lines)
        os.close(self.writing)

    def test_dropped(self) -> None:
        """When the reactor finds the other end closed and drops the pipe, its descriptor is closed."""
        reading = self.printed.fileno()
        os.close(self.writing)
        self.printed.connectionLost(Failure(ConnectionDone()))
        self.assertRaises(OSError, os.fstat, reading)
