"""The longest gap between two turns of a worker's reactor."""

from __future__ import annotations

from twisted.internet.epollreactor import EPollReactor
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.workers.turns import Turns

MILLISECOND = 1_000_000


class FakePoller:
    """A poller that answers after ``takes`` milliseconds of a time that only it and the test move on."""

    def __init__(self) -> None:
        self.now = 0
        self.takes = 0
        self.events: list[tuple[int, int]] = []

    def ticks(self) -> int:
        """Return the time, in nanoseconds."""
        return self.now

    def work(self, milliseconds: int) -> None:
        """Let time pass."""
        self.now += milliseconds * MILLISECOND

    def poll(self, timeout: float, maxevents: int, /) -> list[tuple[int, int]]:
        """Return the events after that time."""
        self.work(self.takes)
        return self.events[:maxevents]

    def fileno(self) -> int:
        """Return its descriptor."""
        return 77


class TurnsTests(SynchronousTestCase):
    """A reactor that waits and works."""

    def setUp(self) -> None:
        """Begin at rest."""
        self.poller = FakePoller()
        self.turns = Turns(self.poller, self.poller.ticks)

    def turn(self, *, timeout: float, waits: int, works: int) -> float:
        """Wait and work for some milliseconds, and ask again; return the longest gap so far, in seconds."""
        self.poller.takes = waits
        self.turns.poll(timeout, 10)
        self.poller.work(works)
        self.poller.takes = 0
        self.turns.poll(0, 10)
        return self.turns.longest / 1e9

    def test_busy(self) -> None:
        """What a worker does for half a second is a gap of that, however it was woken."""
        for timeout, waits in ((-1, 3_600_000), (1, 200), (1, 1000), (0, 0)):
            with self.subTest(timeout=timeout, waits=waits):
                self.turns.begin()
                self.assertEqual(0.5, self.turn(timeout=timeout, waits=waits, works=500))

    def test_quiet(self) -> None:
        """Waiting is no gap, however long it lasts."""
        self.assertEqual(0, self.turn(timeout=-1, waits=3_600_000, works=0))
        self.assertEqual(0, self.turn(timeout=1, waits=1000, works=0))

    def test_late(self) -> None:
        """An answer that comes after the end of the wait was late, as that of a process which was stopped."""
        self.assertEqual(2.25, self.turn(timeout=1, waits=3000, works=250))

    def test_the_longest(self) -> None:
        """The longest gap stays, until all starts over."""
        self.turn(timeout=1, waits=100, works=30)
        self.assertEqual(0.03, self.turn(timeout=1, waits=100, works=20))
        self.turns.begin()
        self.assertEqual(0.02, self.turn(timeout=1, waits=100, works=20))

    def test_passes_on(self) -> None:
        """The reactor gets the events, as many as it asks for, and finds all else of its poller."""
        self.poller.events = [(1, 1), (2, 1)]
        self.assertEqual([(1, 1)], self.turns.poll(0, 1))
        self.assertEqual(77, self.turns.fileno())

    def test_of_a_reactor(self) -> None:
        """Twisted's reactor asks through it from then on."""
        reactor = EPollReactor()
        self.addCleanup(reactor.removeAll)
        turns = Turns.of(reactor)
        turns.longest = -1
        reactor.iterate(0)
        self.assertGreaterEqual(turns.longest, 0)
