"""Text of the log that is not read."""

from __future__ import annotations

import fcntl
import io
import os
from types import SimpleNamespace

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.status import outlet as outlet_module
from statsd_tcp.status.outlet import Outlet, outlet_of


class OutletTests(SynchronousTestCase):
    """A pipe."""

    def setUp(self) -> None:
        """Make it, and do not wait."""
        self.patch(outlet_module, "PATIENCE", 0.0)
        self.reader, writer = os.pipe()
        self.addCleanup(os.close, self.reader)
        self.addCleanup(os.close, writer)
        # What would wait raises here.
        os.set_blocking(writer, False)
        self.writer = writer
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

    def test_room_for_the_number_only(self) -> None:
        """A line that has no more room next to the number is left out, and counts again if that was left out too."""
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 4096)
        said = []

        def warn(_: str, number: int) -> None:
            said.append(number)
            self.outlet.write("a number\n" * times)

        self.patch(Outlet, "_log", SimpleNamespace(warn=warn))
        self.fill()
        self.read()
        times = 1
        self.outlet.write("x" * 4090)
        self.assertEqual(self.read(), "a number\n")
        times = 900
        self.outlet.write("x")
        self.assertEqual(len(self.read()), 4096)
        times = 1
        self.outlet.write("y")
        self.assertEqual(said, [1, 1, 2])
        self.assertEqual(self.read(), "\na number\n")

    def test_cut(self) -> None:
        """A long line that is cut off counts as left out, and the next one does not go on in it."""
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 8192)
        self.outlet.write("x" * 10_000)
        self.assertEqual(self.read(), "x" * 8192)
        with capturedLogs() as logged:
            self.outlet.write("next\n")
        self.assertEqual((self.read(), logged[0]["number"]), ("\nnext\n", 1))

    def test_terminal(self) -> None:
        """A terminal that is not read is not waited for, whatever room it has left for the next line."""
        reader, writer = os.openpty()
        self.addCleanup(os.close, reader)
        with os.fdopen(writer, "w") as file:
            self.outlet = outlet_of(file)
            self.addCleanup(os.close, self.outlet._descriptor)
            self.assertGreater(self.fill(), 0)
            self.assertTrue(os.get_blocking(writer))

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
