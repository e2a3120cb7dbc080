"""Text of the log that is not read."""

from __future__ import annotations

import io
import os

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.status import outlet as outlet_module
from statsd_tcp.status.outlet import Outlet, outlet_of


class OutletTests(SynchronousTestCase):
    """A pipe of one page."""

    def setUp(self) -> None:
        """Make it, and do not wait."""
        self.patch(outlet_module, "PATIENCE", 0.0)
        self.reader, writer = os.pipe()
        self.addCleanup(os.close, self.reader)
        self.addCleanup(os.close, writer)
        self.outlet = Outlet(writer)

    def fill(self) -> int:
        """Write until there is no room, and return how many lines there are."""
        number = 0
        while not self.outlet._left_out:
            self.outlet.write(f"{'x' * 999}\n")
            number += 1
        return number - 1

    def read(self) -> str:
        """Read all that is there."""
        return os.read(self.reader, 1 << 20).decode()

    def test_read(self) -> None:
        """Text is written at once, a long one and one that is no text as well."""
        self.outlet.write("line\n")
        self.assertEqual(self.read(), "line\n")
        long = f"{'y' * 10_000}\n"
        self.outlet.write(long)
        self.assertEqual(self.read(), long)
        self.outlet.write("\udcff\n")
        self.assertEqual(self.read(), "\\udcff\n")

    def test_not_read(self) -> None:
        """Lines for which there is no room are left out; their number is said when there is."""
        written = self.fill()
        for _ in range(9):
            self.outlet.write("left out\n")
        text = self.read()
        self.assertEqual((text.count("\n"), "left out" in text), (written, False))
        with capturedLogs() as logged:
            self.outlet.write("again\n")
            self.outlet.write("and again\n")
        self.assertEqual([event["number"] for event in logged], [10])
        self.assertEqual(self.read(), "again\nand again\n")

    def test_streams(self) -> None:
        """A stream that has no descriptor is written as it is."""
        with os.fdopen(os.dup(self.reader)) as file:
            self.assertIsInstance(outlet_of(file), Outlet)
        for stream in (io.StringIO(), None):
            self.assertIs(outlet_of(stream), stream)

    def test_nobody_left(self) -> None:
        """A reader that is gone is an error, as of any other write."""
        reader, writer = os.pipe()
        self.addCleanup(os.close, writer)
        os.close(reader)
        self.assertRaises(BrokenPipeError, Outlet(writer).write, "line\n")
