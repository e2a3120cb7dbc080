"""Tests of the fuzz target, and a short run of it."""

from __future__ import annotations

import random
from itertools import islice

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.wire.framing import LineFramer
from statsd_tcp.wire.line import Parsed
from tests.fuzz import fuzz_line


class FuzzLineTests(SynchronousTestCase):
    """The target on its corpus."""

    def test_corpus(self) -> None:
        """Every input of the corpus is read as it should be, in pieces of every size that it may ask for."""
        corpus = fuzz_line.read_corpus()
        self.assertGreater(len(corpus), 5)
        for data in corpus:
            for size in (0, 1, 6, 255):
                fuzz_line.check(bytes([size]) + data[1:])

    def test_spoilt(self) -> None:
        """So are some inputs made of it by chance."""
        for data in islice(fuzz_line.spoil(fuzz_line.read_corpus(), random.Random(7)), 500):
            fuzz_line.check(data)

    def test_no_input(self) -> None:
        """No input at all is fine."""
        fuzz_line.check(b"")

    def test_notices_a_wrong_verdict(self) -> None:
        """A line that is read wrongly makes it fail."""
        self.patch(fuzz_line, "parse_line", lambda line, grammar: Parsed("bad", (), "malformed_value"))
        self.assertRaises(AssertionError, fuzz_line.check, b"\x00a:1|c\n")

    def test_notices_a_lost_line(self) -> None:
        """A stream that loses a line makes it fail."""
        self.patch(LineFramer, "finish", lambda self, *, clean: b"")
        self.assertRaises(AssertionError, fuzz_line.check, b"\x00a:1|c\nb:1|c")
