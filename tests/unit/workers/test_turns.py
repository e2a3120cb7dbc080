"""The longest gap between two turns of a worker's reactor."""

from __future__ import annotations

from twisted.internet.epollreactor import EPollReactor
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.workers.turns import Call, Turns

MILLISECOND = 1_000_000


class FakePoller:
    """A poller that answers after ``takes`` milliseconds of a time that only it and the test move on."""

    def __init__(self) -> None:
        self.now = 0
        self.takes = 0
        self.events: list[tuple[int, int]] = []
        self.asked: list[float] = []

    def ticks(self) -> int:
        """Return the time, in nanoseconds."""
        return self.now

    def work(self, milliseconds: int) -> None:
        """Let time pass."""
        self.now += milliseconds * MILLISECOND

    def poll(self, timeout: float, maxevents: int, /) -> list[tuple[int, int]]:
        """Return the events after that time, or after ``timeout`` when it is to take no certain time."""
        self.asked.append(round(timeout, 6))
        self.work(round(1000 * timeout) if self.takes < 0 else self.takes)
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
        self.assertEqual(77, vars(self.turns)["fileno"]())

    def test_of_a_reactor(self) -> None:
        """Twisted's reactor asks through it from then on."""
        reactor = EPollReactor()
        self.addCleanup(reactor.removeAll)
        turns = Turns.of(reactor)
        turns.longest = -1
        reactor.iterate(0)
        self.assertGreaterEqual(turns.longest, 0)


class CallsTests(SynchronousTestCase):
    """Calls between two questions to the kernel."""

    def setUp(self) -> None:
        """Begin with a poller that waits for as long as it is told."""
        self.poller = FakePoller()
        self.poller.takes = -1
        self.turns = Turns(self.poller, self.poller.ticks)
        self.made: list[tuple[str, float]] = []

    def make(self, name: str) -> None:
        """Note a call, and when it came, in milliseconds."""
        self.made.append((name, self.poller.now / MILLISECOND))

    def repeat(self) -> None:
        """Be called every millisecond."""
        self.make("repeat")
        self.turns.callLater(0.001, self.repeat)

    def test_between_questions(self) -> None:
        """The reactor sleeps for as long as it wanted to, and what is called each millisecond is called meanwhile."""
        self.turns.callLater(0.001, self.repeat)
        self.assertEqual([], self.turns.poll(0.003, 10))
        self.assertEqual([("repeat", 1), ("repeat", 2), ("repeat", 3)], self.made)
        self.assertEqual([0.001] * 3, self.poller.asked)

    def test_no_calls(self) -> None:
        """Without calls the kernel is asked once, for as long as the reactor says."""
        self.turns.poll(2.5, 10)
        self.poller.takes = 7
        self.turns.poll(-1, 10)
        self.assertEqual([2.5, -1], self.poller.asked)

    def test_at_once(self) -> None:
        """A call without a delay comes after one look at the kernel, which does not wait."""
        self.turns.callLater(0, lambda: self.make("now"))
        self.turns.callLater(0.002, lambda: self.make("later"))
        self.turns.poll(0.002, 10)
        self.assertEqual([("now", 0), ("later", 2)], self.made)
        self.assertEqual([0, 0.002], self.poller.asked)

    def test_events(self) -> None:
        """Events go to the reactor at once, and a call that is due does not wait for the next turn."""
        self.poller.takes = 1
        self.poller.events = [(5, 1)]
        self.turns.callLater(0.001, lambda: self.make("due"))
        self.turns.callLater(0.002, lambda: self.make("not yet"))
        self.assertEqual([(5, 1)], self.turns.poll(1, 10))
        self.assertEqual([("due", 1)], self.made)

    def test_cancelled(self) -> None:
        """A call that is cancelled does not come, also when a call of the same moment has cancelled it."""
        other: list[Call] = []

        def cancel_other() -> None:
            other[0].cancel()

        cancelled = self.turns.callLater(0.001, lambda: self.make("first"))
        self.turns.callLater(0.001, cancel_other)
        other.append(self.turns.callLater(0.001, lambda: self.make("other")))
        cancelled.cancel()
        self.turns.poll(0.002, 10)
        self.assertEqual([], self.made)

    def test_gaps(self) -> None:
        """What a call does is a gap as well: no socket is looked at meanwhile."""
        self.turns.callLater(0.001, lambda: self.poller.work(40))
        self.turns.poll(0.1, 10)
        self.assertEqual(0.04, self.turns.longest / 1e9)


class ReactorTests(SynchronousTestCase):
    """A reactor that is left out for as long as it has nothing to do."""

    def setUp(self) -> None:
        """Make one, which has a call in an hour."""
        self.reactor = EPollReactor()
        self.addCleanup(self.reactor.removeAll)
        self.turns = Turns.of(self.reactor)
        self.reactor.callLater(3600, lambda: None)

    def test_called_later(self) -> None:
        """What is called has the reactor call something soon, for which it takes its turn."""
        called: list[str] = []
        self.turns.callLater(0, lambda: self.reactor.callLater(0, called.append, "soon"))
        self.reactor.doIteration(self.reactor.timeout())
        self.reactor.runUntilCurrent()
        self.assertEqual(["soon"], called)

    def test_called_sooner(self) -> None:
        """A call of the reactor that is moved to an earlier time by one between two questions comes then."""
        called: list[str] = []
        moved = self.reactor.callLater(3600, called.append, "sooner")
        self.turns.callLater(0, lambda: moved.reset(0))
        self.reactor.doIteration(self.reactor.timeout())
        self.reactor.runUntilCurrent()
        self.assertEqual(["sooner"], called)

    def test_stopped(self) -> None:
        """What is called stops the reactor, which ends its wait."""
        self.reactor.startRunning(installSignalHandlers=False)
        self.turns.callLater(0, self.reactor.stop)
        self.reactor.doIteration(self.reactor.timeout())
        self.assertTrue(self.reactor._stopped)
