"""When something last came, and how much of it was bad."""

from __future__ import annotations

import msgspec
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.console.activity import Activity
from statsd_tcp.store.snapshot import Snapshot, TotalKey
from tests.unit.web.tables import make_snapshot


def snapshot(**totals: int) -> Snapshot:
    """Make a snapshot with these totals."""
    settled = {TotalKey(metric): value for metric, value in totals.items()}
    return msgspec.structs.replace(make_snapshot(), settled=settled)


class ActivityTests(SynchronousTestCase):
    """A service whose store is an old one."""

    def setUp(self) -> None:
        """Begin, and see the first commit."""
        self.clock = Clock()
        self.activity = Activity(self.clock)
        self.clock.advance(0.5)
        self.activity.committed(snapshot(lines=100, bad_lines=7, datagrams=3))

    def test_at_first(self) -> None:
        """What the store had from earlier does not count: nothing has come since the start."""
        self.clock.advance(9)
        self.assertEqual((9, 0), (self.activity.silence, self.activity.bad_lines))

    def test_something_comes(self) -> None:
        """Good, bad and empty lines and datagrams are all something; silence begins with the last of it."""
        for totals in (
            {"lines": 101, "bad_lines": 8, "datagrams": 3},
            {"lines": 101, "bad_lines": 8, "datagrams": 4},
            {"lines": 101, "bad_lines": 8, "datagrams": 4, "empty_lines": 1},
        ):
            self.clock.advance(10)
            self.activity.committed(snapshot(**totals))
            self.assertEqual(0, self.activity.silence)
        self.clock.advance(5)
        self.activity.committed(snapshot(lines=101, bad_lines=8, datagrams=4, empty_lines=1))
        self.assertEqual((5, 1), (self.activity.silence, self.activity.bad_lines))
