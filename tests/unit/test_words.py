"""Errors and lengths of time in plain words."""

from __future__ import annotations

import errno
import signal

import msgspec
from twisted.internet.error import ConnectionAborted, ConnectionDone
from twisted.trial.unittest import SynchronousTestCase
from twisted.web._newclient import ParseError

from statsd_tcp.words import in_words, signal_name, span


class InWordsTests(SynchronousTestCase):
    """What is said of the errors of others."""

    def test_each(self) -> None:
        """The cause is named in one line, and nothing inside a library is."""
        cases = {
            "no: No such file or directory": FileNotFoundError(errno.ENOENT, "No such file or directory", "no"),
            "Too many open files": OSError(errno.EMFILE, "Too many open files"),
            "Connection was closed cleanly": ConnectionDone(),
            "the connection was given up": ConnectionAborted(),
            "the answer is not HTTP": ParseError("wrong number of parts", b"zzz"),
            "it is nested too deeply": RecursionError("maximum recursion depth exceeded"),
            "there is not enough memory": MemoryError(),
            "it is not of the form that is expected": msgspec.ValidationError("Expected `int` - at `$.a`"),
            "two lines": ValueError("two\nlines."),
            "KeyError": KeyError(),
        }
        for words, error in cases.items():
            self.assertEqual(words, in_words(error))


class SpanTests(SynchronousTestCase):
    """How a length of time is said."""

    def test_each(self) -> None:
        """It has at most two units, and is rounded to the smaller one."""
        cases = {
            0.5: "0.5 s",
            10: "10 s",
            60: "1 min",
            61.4: "1 min 1 s",
            3600: "1 h",
            7199.9: "2 h",
            10_000: "2 h 47 min",
            86_400: "1 d",
            90_000: "1 d 1 h",
        }
        self.assertEqual(list(cases.values()), [span(seconds) for seconds in cases])


class SignalNameTests(SynchronousTestCase):
    """Which signal it was."""

    def test_each(self) -> None:
        """One without a name has its number."""
        self.assertEqual("SIGKILL", signal_name(signal.SIGKILL))
        self.assertEqual("signal 40", signal_name(40))
