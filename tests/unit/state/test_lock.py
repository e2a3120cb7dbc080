"""The lock of a state folder while it is in use."""

from __future__ import annotations

import os

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.state.lock import LOCK, StateError, keep_lock, take_lock
from tests.unit.folders import make_folder


class LockTests(SynchronousTestCase):
    """A folder that an instance has."""

    def setUp(self) -> None:
        """Take it."""
        self.folder = make_folder(self)
        self.path = self.folder / LOCK
        self.lock = take_lock(self.folder)
        self.addCleanup(os.close, self.lock)

    def keep(self) -> int:
        """See to it, and return how many lines are logged."""
        with capturedLogs() as logs:
            keep_lock(self.folder, self.lock)
        return len(logs)

    def test_there(self) -> None:
        """A lock that is at its place stays as it is, and nothing is said."""
        before = self.path.stat()
        self.assertEqual(self.keep(), 0)
        self.assertTrue(os.path.samestat(before, self.path.stat()))

    def test_taken_away(self) -> None:
        """One that was deleted, moved or replaced is put back under the same number, and keeps others out again."""
        self.path.unlink()
        self.assertEqual((self.keep(), self.keep()), (1, 0))
        self.assertRaisesRegex(StateError, f"pid {os.getpid()}", take_lock, self.folder)
        self.path.rename(self.folder / "moved")
        self.assertEqual(self.keep(), 1)
        new = self.folder / "new"
        new.touch()
        new.replace(self.path)
        self.assertEqual((self.keep(), self.keep()), (1, 0))
        self.assertRaises(StateError, take_lock, self.folder)

    def test_inherited(self) -> None:
        """The next image gets one that was put back as it would have got the first."""
        for inheritable in (True, False):
            os.set_inheritable(self.lock, inheritable)
            self.path.unlink()
            self.keep()
            self.assertEqual(os.get_inheritable(self.lock), inheritable)

    def test_another_instance(self) -> None:
        """What came in between is not disturbed: the error says that it has the folder."""
        self.path.unlink()
        self.addCleanup(os.close, take_lock(self.folder))
        self.assertRaisesRegex(StateError, "in use by another instance", keep_lock, self.folder, self.lock)

    def test_something_else(self) -> None:
        """What cannot be a lock is left alone, and the error says what it is."""
        self.path.unlink()
        self.path.mkdir()
        self.assertRaisesRegex(
            StateError, "lock was taken away and cannot be put back", keep_lock, self.folder, self.lock
        )
        self.assertTrue(self.path.is_dir())
