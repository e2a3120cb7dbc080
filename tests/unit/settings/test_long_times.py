"""Times that look like milliseconds."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.settings.build import build_settings
from statsd_tcp.settings.long_times import long_times
from statsd_tcp.settings.options import OPTIONS

CASES = (
    ("flush-interval", "600", "601", "601 seconds, 10 min 1 s"),
    ("flush-interval", "10", "10000", "10,000 seconds, 2 h 47 min"),
    ("idle-timeout", "21600", "600000", "600,000 seconds, 6 d 23 h"),
    ("first-byte-timeout", "600", "60000", "60,000 seconds, 16 h 40 min"),
    ("max-age", "86400", "900000", "900,000 seconds, 10 d 10 h"),
    ("drain-timeout", "600", "3600", "3,600 seconds, 1 h"),
    ("conflict-silence", "86400", "600000", "600,000 seconds, 6 d 23 h"),
    ("series-ttl", "31536000", "86400000", "86,400,000 seconds, 1,000 d"),
)
"""An option, a time that is usual, one that is not, and how it is said."""


class LongTimesTests(SynchronousTestCase):
    """What is said of times that are longer than usual."""

    def test_table(self) -> None:
        """A time that is longer than usual is said in words, and one that is not is not mentioned."""
        for name, usual, long, words in CASES:
            self.assertEqual([], list(long_times(build_settings({name: [usual]}))), name)
            [(option, said)] = long_times(build_settings({name: [long]}))
            self.assertEqual((name, f"{words}: times here are in seconds, etsy's in milliseconds"), (option, said))

    def test_every_time(self) -> None:
        """Every option of a number of seconds is looked at."""
        timed = {option.name for option in OPTIONS if "seconds" in option.help}
        self.assertEqual(timed, {name for name, *_ in CASES})

    def test_nothing_given(self) -> None:
        """No default is said to be long."""
        self.assertEqual([], list(long_times(build_settings({}))))
