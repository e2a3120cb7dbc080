"""How long a dead worker's slot stays empty."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.supervisor.backoff import HEALTHY_LIFE, Backoff

SHORT, LONG = HEALTHY_LIFE / 2, HEALTHY_LIFE


class BackoffTests(SynchronousTestCase):
    """A table of lives and delays."""

    def test_delays(self) -> None:
        """After a healthy life, and after a first short one, there is no delay; then it doubles up to a limit."""
        for lives, delays in (
            ([LONG, LONG, 3600.0], [0, 0, 0]),
            ([SHORT, SHORT, SHORT], [0, 0.1, 0.2]),
            ([0.0] * 10, [0, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5]),
            ([SHORT, SHORT, SHORT, LONG, SHORT, SHORT], [0, 0.1, 0.2, 0, 0, 0.1]),
        ):
            backoff = Backoff()
            self.assertEqual(delays, [backoff.after(life) for life in lives])

    def test_short_lives(self) -> None:
        """Short lives in a row are counted, until there is a healthy one."""
        backoff = Backoff()
        counted = []
        for life in (SHORT, 0.0, SHORT, LONG, SHORT):
            backoff.after(life)
            counted.append(backoff.short_lives)
        self.assertEqual([1, 2, 3, 0, 1], counted)
