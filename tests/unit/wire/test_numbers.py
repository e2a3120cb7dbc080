"""Tests of numbers."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.wire.numbers import LIMIT, read_number, read_rate


class NumberTests(SynchronousTestCase):
    """Numbers and rates, beyond what the tables of lines have."""

    @given(st.floats(-LIMIT, LIMIT))
    def test_round_trip(self, number: float) -> None:
        """Whatever float Python writes within the limit is read as the same."""
        self.assertEqual(read_number(repr(number).encode()), number)

    @given(st.text(alphabet="0123456789+-.eE_ naif٣x", max_size=8))
    def test_no_more_than_float(self, text: str) -> None:
        """What is read as a number Python reads as the same; what is not, is no decimal or too large."""
        number = read_number(text.encode())
        if number is not None:
            self.assertEqual(number, float(text))
        elif text.isascii() and text.isdigit():
            self.assertGreater(float(text), LIMIT)

    def test_no_negative_zero(self) -> None:
        """Zero has no sign, so that no output shows one."""
        number = read_number(b"-0.0")
        assert number is not None
        self.assertEqual(math.copysign(1.0, number), 1.0)

    def test_smallest_rate(self) -> None:
        """A rate may stand for up to 2**53 events."""
        self.assertEqual(read_rate(repr(1 / LIMIT).encode()), 1 / LIMIT)
        self.assertIsNone(read_rate(repr(0.99 / LIMIT).encode()))
