"""The log in a file, and how it is opened again."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.status.log_file import LogFile
from tests.unit.descriptors import open_here
from tests.unit.folders import make_folder


class LogFileTests(SynchronousTestCase):
    """A file that is written, moved away, and opened again."""

    def setUp(self) -> None:
        """Make one, whose reactor keeps what it is to call."""
        self.folder = make_folder(self)
        self.addCleanup(signal.signal, signal.SIGUSR1, signal.getsignal(signal.SIGUSR1))
        self.calls: list[Any] = []
        self.path = self.folder / "x.log"
        self.log = LogFile(SimpleNamespace(callFromThread=self.calls.append), str(self.path))
        self.addCleanup(self.close)

    def close(self) -> None:
        """Close it, if it was opened."""
        if self.log._descriptor >= 0:
            os.close(self.log._descriptor)

    def descriptors(self) -> int:
        """Return how many descriptors have the log, or had it before it was moved."""
        return sum(self.folder in Path(one.target).parents for one in open_here())

    def test_nothing_written(self) -> None:
        """Nothing is made before something is written."""
        self.assertFalse(self.path.exists())

    def test_adds(self) -> None:
        """What is in the file stays, and what is no text in UTF-8 is written all the same."""
        self.path.write_text("before\n")
        self.log.write("a\n")
        self.log.write("b\udcff\n")
        self.log.flush()
        self.assertEqual("before\na\nb\\udcff\n", self.path.read_text())

    def test_moved_away(self) -> None:
        """After a USR1 what is written goes to a new file, and no descriptor is left over."""
        self.log.write("a\n")
        old = self.path.rename(self.folder / "old")
        self.log.write("b\n")
        before = self.descriptors()
        os.kill(os.getpid(), signal.SIGUSR1)
        (call,) = self.calls
        call()
        self.log.write("c\n")
        self.assertEqual(("a\nb\n", "c\n"), (old.read_text(), self.path.read_text()))
        self.assertEqual(before, self.descriptors())

    def test_from_another_folder(self) -> None:
        """The path is that of the folder in which it was named."""
        here = Path.cwd()
        self.addCleanup(os.chdir, here)
        os.chdir(self.folder)
        log = LogFile(None, "x.log")
        os.chdir("/")
        self.assertEqual(self.path, log.path)

    def test_folder_gone(self) -> None:
        """Where the file cannot be opened again the old one goes on, and that is said."""
        self.log.write("a\n")
        moved = self.folder.rename(self.folder.with_name("moved"))
        with capturedLogs() as events:
            self.log.reopen()
        moved.rename(self.folder)
        self.log.write("b\n")
        self.assertEqual("a\nb\n", self.path.read_text())
        (event,) = events
        self.assertEqual(
            f"the log {self.path} cannot be opened again: {self.path}: No such file or directory", formatEvent(event)
        )
