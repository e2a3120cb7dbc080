"""The lock of a state folder while it is in use."""

from __future__ import annotations

import os

from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.state.lock import LOCK, HeldLock, StateError, take_lock
from tests.unit.folders import make_folder


class LockTests(SynchronousTestCase):
    """A folder that an instance has."""

    def setUp(self) -> None:
        """Take it."""
        self.folder = make_folder(self)
        self.path = self.folder / LOCK
        self.lock = take_lock(self.folder)
        self.addCleanup(os.close, self.lock)
        self.held = HeldLock(self.folder, self.lock)

    def keep(self) -> int:
        """See to it, and return how many lines are logged."""
        with capturedLogs() as logs:
            self.held.keep()
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
        """What came in between is not disturbed, and has the folder: also when it has gone, as it has written there."""
        self.path.unlink()
        other = take_lock(self.folder)
        self.assertRaisesRegex(StateError, rf"another instance \(pid {os.getpid()}\) has used", self.held.keep)
        os.close(other)
        self.path.unlink()
        self.assertRaisesRegex(StateError, "restart this one", self.held.keep)

    def test_another_instance_that_has_gone(self) -> None:
        """One that came and went between two commits has left its lock, which says so."""
        self.path.unlink()
        os.close(take_lock(self.folder))
        self.assertRaisesRegex(StateError, "has used the folder since", self.held.keep)

    def test_another_instance_that_has_not_signed(self) -> None:
        """Nor may one be disturbed that is just taking the folder."""
        self.path.unlink()
        other = take_lock(self.folder)
        self.addCleanup(os.close, other)
        os.ftruncate(other, 0)
        self.assertRaisesRegex(StateError, r"\(pid unknown\) has used", self.held.keep)

    def test_something_else(self) -> None:
        """What cannot be a lock is left alone, and the error says what it is."""
        self.path.unlink()
        self.path.mkdir()
        self.assertRaisesRegex(StateError, "lock was taken away and cannot be put back", self.held.keep)
        self.assertTrue(self.path.is_dir())
        self.path.rmdir()
        self.assertEqual(self.keep(), 1)

    def test_no_folder(self) -> None:
        """A place that cannot be looked at is an error of the folder, in words."""
        held = HeldLock(self.path, self.lock)
        self.assertRaisesRegex(StateError, "cannot be put back: .*Not a directory", held.keep)
