"""Results: outcomes, adding up, and the latency distribution."""

from __future__ import annotations

import errno
import pickle

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.commands.load.results import Latencies, Outcome, Progress, Result, outcome_of


def encoded(*seconds: float) -> bytes:
    """Make a distribution."""
    latencies = Latencies()
    latencies.fresh.extend(seconds)
    return latencies.encode()


class OutcomeTests(SynchronousTestCase):
    """What an errno means."""

    def test_table(self) -> None:
        """Refused, reset and timed out are told apart; the rest is an error."""
        table = {
            errno.ECONNREFUSED: Outcome.REFUSED,
            errno.ECONNRESET: Outcome.RESET,
            errno.EPIPE: Outcome.RESET,
            errno.ETIMEDOUT: Outcome.TIMED_OUT,
            errno.EMFILE: Outcome.ERROR,
            errno.ENETUNREACH: Outcome.ERROR,
        }
        self.assertEqual(table, {code: outcome_of(code) for code in table})

    def test_own_failures(self) -> None:
        """Errors keep their names, and those of this machine are told from those of the network."""
        result = Result()
        for code in (errno.EMFILE, errno.EADDRNOTAVAIL, errno.EADDRNOTAVAIL, errno.ENETUNREACH, errno.ECONNRESET):
            result.failure(code)
        self.assertEqual({"EMFILE": 1, "EADDRNOTAVAIL": 2, "ENETUNREACH": 1}, result.errors)
        self.assertEqual((3, 5), (result.own_failures, result.failed))


class LatenciesTests(SynchronousTestCase):
    """The distribution."""

    @given(st.lists(st.floats(0.0, 3600.0), min_size=1, max_size=200))
    def test_extremes(self, values: list[float]) -> None:
        """The largest value comes back within the promised three digits, and none is lost."""
        latencies = Latencies(encoded(*values))
        self.assertEqual(len(values), latencies.count)
        self.assertApproximates(max(values), latencies.percentile(100), max(values) * 0.001 + 2e-6)

    def test_out_of_range(self) -> None:
        """Values beyond an hour, or below nothing, are kept at the edge."""
        latencies = Latencies(encoded(-1.0, 9999.0))
        self.assertEqual(2, latencies.count)
        self.assertApproximates(3600.0, latencies.percentile(100), 3.6)

    def test_empty(self) -> None:
        """Nothing has a mean of 0."""
        self.assertEqual((0, 0.0), (Latencies().count, Latencies().mean))


class AddTests(SynchronousTestCase):
    """Results of several processes."""

    def test_sum(self) -> None:
        """Counts add up, times span all, and the distribution holds all values, also after a journey."""
        one = Result(begun=2, completed=1, errors={"EMFILE": 1}, began=10.0, ended=12.0, cpu=1.0, worst_lag=0.5)
        one.failures[Outcome.ERROR] = 1
        one.latencies = encoded(0.1)
        two = Result(begun=3, completed=2, errors={"EMFILE": 2}, began=11.0, ended=15.0, cpu=2.0, worst_lag=0.1)
        two.failures[Outcome.RESET] = 1
        two.latencies = encoded(0.2, 0.3)
        total = Result()
        for result in (one, two):
            total.add(pickle.loads(pickle.dumps(result)))  # noqa: S301 - our own
        self.assertEqual((5, 3, 2), (total.begun, total.completed, total.failed))
        self.assertEqual(({"EMFILE": 3}, 3.0, 0.5, 5.0), (total.errors, total.cpu, total.worst_lag, total.elapsed))
        self.assertEqual(3, Latencies(total.latencies).count)

    def test_progress(self) -> None:
        """Progress adds up field by field."""
        total = Progress(1, 2, 3, 4, 5)
        total.add(Progress(10, 20, 30, 40, 50))
        self.assertEqual(Progress(11, 22, 33, 44, 55), total)
