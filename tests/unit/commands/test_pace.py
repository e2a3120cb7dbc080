"""The schedule: when something is due, and what is said about lateness."""

from __future__ import annotations

import math

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.commands.load.pace import BREATHER, Pace
from statsd_tcp.commands.load.results import Result
from statsd_tcp.commands.load.workload import Mode
from tests.unit.commands.servers import share


class PaceTests(SynchronousTestCase):
    """One share's schedule, begun at time 100."""

    def test_given_rate(self) -> None:
        """Each beginning has a time of its own, whenever it is asked for."""
        pace = Pace(share(1, rate=4.0), 100.0, Result())
        self.assertEqual(100.0, pace.due(107.0))
        pace.begin(100.0, 107.0)
        self.assertEqual(100.25, pace.due(107.0))

    def test_as_fast_as_possible(self) -> None:
        """Without a rate the next one is due now, until the number is reached."""
        pace = Pace(share(1, connections=1), 100.0, Result())
        self.assertEqual(103.0, pace.due(103.0))
        pace.begin(103.0, 103.0)
        self.assertEqual(math.inf, pace.due(104.0))

    def test_duration(self) -> None:
        """Nothing is due from the end of the duration on."""
        pace = Pace(share(1, connections=None, duration=2.0), 100.0, Result())
        self.assertEqual((101.9, math.inf), (pace.due(101.9), pace.due(102.0)))

    def test_kept_has_no_number_of_sends(self) -> None:
        """Where connections are kept, their number does not limit the sends."""
        pace = Pace(share(1, mode=Mode.KEPT, lines=1, connections=1, duration=2.0), 100.0, Result())
        pace.begin(100.0, 100.0)
        self.assertEqual(101.0, pace.due(101.0))

    def test_over(self) -> None:
        """It is over when the time is up and nothing of it is left to begin, or when it is stopped."""
        pace = Pace(share(1, connections=None, rate=1.0, duration=2.0), 100.0, Result())
        pace.begin(100.0, 100.0)
        self.assertEqual((False, False), (pace.over(101.9), pace.over(102.1)))
        pace.begin(101.0, 102.1)
        self.assertEqual((False, True), (pace.over(101.9), pace.over(102.1)))
        pace.stop()
        self.assertTrue(pace.over(100.0))

    def test_stop(self) -> None:
        """After stop nothing is due."""
        pace = Pace(share(1), 100.0, Result())
        pace.stop()
        self.assertEqual(math.inf, pace.due(100.0))

    def test_breathe(self) -> None:
        """After a failure of our own the next one waits a little, unless it has a time of its own."""
        free, paced = Pace(share(1), 100.0, Result()), Pace(share(1, rate=1.0), 100.0, Result())
        for pace in (free, paced):
            pace.breathe(105.0)
        self.assertEqual((105.0 + BREATHER, 100.0), (free.due(105.0), paced.due(105.0)))

    def test_lateness_has_a_reason(self) -> None:
        """What begins late was held back if too many were open, else this program was behind."""
        result = Result()
        pace = Pace(share(1, rate=1.0), 100.0, result)
        pace.begin(100.0, 100.005)
        self.assertEqual((0, 0), (result.behind, result.held_back))
        pace.begin(101.0, 101.5)
        pace.hold_back()
        pace.begin(102.0, 102.2)
        pace.on_time()
        pace.begin(103.0, 103.1)
        self.assertEqual((2, 1), (result.behind, result.held_back))
        self.assertAlmostEqual(0.5, result.worst_lag)
