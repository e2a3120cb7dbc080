"""What a worker more costs the supervisor: as many steps as the one before it."""

from __future__ import annotations

from statsd_tcp.workers.channel import Gathered
from tests.unit.steps import steps
from tests.unit.supervisor.fakes import say
from tests.unit.supervisor.supervising import SupervisorTestCase

MOST = 2500
"""Bytecodes in a second for a worker: 840 were counted with Python 3.11, and 1,760 with 3.12."""


class Second(SupervisorTestCase):
    """One second of a supervisor with as many workers as wanted, all of which answer."""

    def __init__(self, workers: int) -> None:
        super().__init__("second")
        self.workers = workers

    def second(self) -> int:
        """Return how many steps the second second takes: in the first one some things are made."""
        self.start()
        self._pass()
        return steps(self._pass)

    def _pass(self) -> None:
        self.round()
        for channel in self.reactor.channels:
            say(channel, Gathered(0, 8, b"x", False))
        snapshot = self.committer.snapshot
        assert snapshot is not None
        self.supervisor.committed(snapshot)


class GrowthTests(SupervisorTestCase):
    """More workers."""

    def test_steps(self) -> None:
        """A worker more costs no more than the one before it, and little."""
        few, more, many = (self._second(workers) for workers in (2, 4, 8))
        each = (more - few) / 2
        self.assertLess((many - more) / 4, each * 1.01)
        self.assertLess(each, MOST)

    def _second(self, workers: int) -> int:
        case = Second(workers)
        self.addCleanup(case.doCleanups)
        case.setUp()
        return case.second()
