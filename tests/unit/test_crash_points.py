"""The crash points: off unless asked for, and at exactly the passing that was asked for."""

from __future__ import annotations

import os
import signal

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp import crash_points
from statsd_tcp.crash_points import POINTS, READING, SUPERVISOR, VARIABLE, WORKER, CrashPointError, arm
from statsd_tcp.ledger.cells import GLOBAL_CELLS
from statsd_tcp.ledger.journal import Journal
from tests.unit.folders import make_folder


class ArmTests(SynchronousTestCase):
    """Arming, with a process that cannot be killed."""

    def setUp(self) -> None:
        """Keep the methods that are replaced, and note the kills."""
        self.kills: list[tuple[int, int]] = []
        self.patch(os, "kill", lambda *arguments: self.kills.append(arguments))
        for name in ("append", "release"):
            self.patch(Journal, name, getattr(Journal, name))
        self.journal = Journal(memoryview(bytearray(4096)), memoryview(bytearray(8 * len(GLOBAL_CELLS))).cast("Q"))

    def test_off(self) -> None:
        """Without the variable every method is the one that was written."""
        before = Journal.append
        arm({}, POINTS)
        self.assertIs(before, Journal.append)

    def test_nth(self) -> None:
        """The process is killed at the passing that was named, after the frame is there."""
        arm({VARIABLE: "after-frame:2"}, WORKER)
        self.journal.append(0, b"a:1|c\n", 1, 6)
        self.assertEqual([], self.kills)
        self.journal.append(0, b"a:1|c\n", 1, 6)
        self.assertEqual([(os.getpid(), signal.SIGKILL)], self.kills)
        self.assertEqual(2 * 40, self.journal.head)

    def test_first(self) -> None:
        """Without a number it is the first."""
        arm({VARIABLE: "before-release"}, WORKER)
        self.journal.release(0)
        self.assertEqual(1, len(self.kills))

    def test_not_yet(self) -> None:
        """With a path only those passings count that happen when the file is there."""
        now = make_folder(self) / "now"
        arm({VARIABLE: f"before-release:2@{now}"}, WORKER)
        for _ in range(3):
            self.journal.release(0)
        now.touch()
        self.journal.release(0)
        self.assertEqual([], self.kills)
        self.journal.release(0)
        self.assertEqual(1, len(self.kills))

    def test_elsewhere(self) -> None:
        """A point of another process does nothing in this one."""
        before = Journal.append
        arm({VARIABLE: "after-frame"}, SUPERVISOR)
        self.assertIs(before, Journal.append)

    def test_readings_that_have_died(self) -> None:
        """A number of readings die, and the next one does not."""
        armed: list[object] = []
        self.patch(crash_points, "_ARMED", {"in-replay": armed.append})
        for passed in range(4):
            arm({VARIABLE: "in-replay:2"}, READING, passed)
        self.assertEqual(2, len(armed))

    def test_unknown(self) -> None:
        """A point that there is not is refused with the list of those that there are."""
        for text in ("nowhere", "after-frame:x", ":3"):
            error = self.assertRaises(CrashPointError, arm, {VARIABLE: text}, WORKER)
            self.assertIn("after-accept, after-frame", str(error))
