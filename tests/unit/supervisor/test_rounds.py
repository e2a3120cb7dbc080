"""When the workers are asked."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.supervisor.rounds import AFTER_SECOND, Rounds, until_next

NOW = 1_700_000_000.3
HOUR = 3600.0
TEN_YEARS = 10 * 365.25 * 24 * HOUR


class Committer:
    """Notes when a commit is asked for."""

    failure = ""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.commits: list[float] = []

    def commit(self) -> None:
        """Note it."""
        self.commits.append(self._clock.seconds())


class RoundsTests(SynchronousTestCase):
    """Rounds without a worker, each of which is a commit at once."""

    def setUp(self) -> None:
        """Begin in the middle of a second of the wall clock."""
        self.clock = Clock()
        self.step = NOW
        self.committer = Committer(self.clock)
        self.begin: Callable[[], object] = lambda: None
        committer: Any = self.committer
        self.rounds = Rounds(self.clock, [], committer, self.call_begin, self.wall)
        self.addCleanup(self.rounds.stop)

    def call_begin(self) -> None:
        """Do what the test has chosen."""
        self.begin()

    def wall(self) -> float:
        """Return the wall clock."""
        return self.step + self.clock.seconds()

    def commits_in(self, seconds: int) -> list[float]:
        """Let time pass, and say when commits were asked for meanwhile, by the clock that is never set."""
        self.committer.commits.clear()
        self.clock.pump([1 / 64] * (64 * seconds))
        return self.committer.commits

    def fractions(self, seconds: int) -> list[float]:
        """Let time pass, and say where in a second of the wall clock commits were asked for."""
        return [(self.step + moment) % 1 for moment in self.commits_in(seconds)]

    def test_with_the_seconds(self) -> None:
        """There is a round for each second of the wall clock, right behind its beginning."""
        self.rounds.start()
        found = self.fractions(10)
        self.assertEqual(10, len(found))
        self.assertTrue(all(AFTER_SECOND <= each < AFTER_SECOND + 1 / 32 for each in found), found)

    def test_several_in_a_second(self) -> None:
        """There may be several in a second, at equal distances; what is due once a second is begun with the first."""
        committer: Any = self.committer
        begun: list[float] = []
        rounds = Rounds(self.clock, [], committer, lambda: begun.append(self.clock.seconds()), self.wall, 0.25)
        self.addCleanup(rounds.stop)
        rounds.start()
        found = [each % 0.25 for each in self.fractions(10)]
        self.assertEqual(40, len(found))
        self.assertTrue(all(AFTER_SECOND <= each < AFTER_SECOND + 1 / 32 for each in found), found)
        self.assertEqual([1.0] * 9, [later - earlier for earlier, later in pairwise(begun)])

    def test_wall_clock_is_set(self) -> None:
        """When the wall clock is set no round is missed, and from the second one on they are with its seconds."""
        self.rounds.start()
        for step in (-HOUR, -20.4, TEN_YEARS + 0.7, -TEN_YEARS, 0.25):
            self.step += step
            moments = self.commits_in(10)
            self.assertIn(len(moments), (9, 10, 11))
            gaps = [later - earlier for earlier, later in pairwise(moments)]
            self.assertLess(max(moments[0] - self.clock.seconds() + 10, *gaps), 1.2)
            found = [(self.step + moment) % 1 for moment in moments[1:]]
            self.assertTrue(all(each < 1 / 16 for each in found), found)

    @given(st.floats(0, 1e10))
    def test_how_long(self, wall: float) -> None:
        """The next round is never due at once, and never more than a second and a little away."""
        rest = until_next(wall)
        self.assertTrue(0.1 <= rest <= 1.1, rest)
        self.assertAlmostEqual(0.0, (wall + rest - AFTER_SECOND + 0.5) % 1 - 0.5, places=4)

    def test_round_that_fails(self) -> None:
        """One that fails is logged, and the next one comes."""
        self.begin = lambda: 1 / 0
        self.rounds.start()
        self.commits_in(2)
        self.assertEqual(2, len(self.flushLoggedErrors(ZeroDivisionError)))

    def test_stopped_from_within(self) -> None:
        """What is begun may stop them, and start them again."""
        self.begin = self.rounds.stop
        self.rounds.start()
        self.assertEqual(1, len(self.commits_in(3)))
        self.assertEqual([], self.clock.getDelayedCalls())
        self.begin = lambda: None
        self.rounds.start()
        self.rounds.start()
        self.assertEqual(3, len(self.commits_in(3)))
