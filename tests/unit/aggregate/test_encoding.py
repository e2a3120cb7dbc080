"""Tests of intervals as bytes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.encoding import BadIntervalError, decode, encode
from statsd_tcp.aggregate.interval import Interval
from tests.unit.aggregate.model import Chunk, chunks, expected

SAMPLE = expected([Chunk(0, [b"a:1|c", b"g:1|g", b"t:1|ms", b"d:1|h", b"s:m|s", b"x", b""], 1)])


class EncodingTests(SynchronousTestCase):
    """There and back."""

    @given(chunks())
    def test_round_trip(self, received: list[Chunk]) -> None:
        """What was encoded is decoded as the same."""
        interval = expected(received)
        self.assertEqual(decode(encode(interval)), interval)

    def test_empty(self) -> None:
        """An empty interval is some bytes, too."""
        self.assertTrue(decode(encode(Interval())).is_empty())

    def test_whole_weights(self) -> None:
        """Weights may be whole numbers on the way in; they are floats on the way out."""
        decoded = decode(encode(Interval(times={"t": {1.0: 2}})))
        self.assertIsInstance(decoded.times["t"][1.0], float)

    def test_other_version(self) -> None:
        """Another version is refused, and the error names both."""
        error = self.assertRaises(BadIntervalError, decode, b"\x02" + encode(SAMPLE)[1:])
        self.assertIn("version 1", str(error))
        self.assertIn("x02", str(error))

    def test_nothing(self) -> None:
        """No bytes are no interval."""
        self.assertRaises(BadIntervalError, decode, b"")
        self.assertRaises(BadIntervalError, decode, encode(SAMPLE)[:1])

    def test_cut_short(self) -> None:
        """Bytes that are cut short, or go on, are no interval."""
        payload = encode(SAMPLE)
        for end in range(1, len(payload)):
            self.assertRaises(BadIntervalError, decode, payload[:end])
        self.assertRaises(BadIntervalError, decode, payload + b"\x00")

    def test_wrong_types(self) -> None:
        """A valid message of another form is no interval."""
        for message in (b"\x80", b"\x91\x01", b"\x9b" + b"\xc0" * 11):
            self.assertRaises(BadIntervalError, decode, b"\x01" + message)

    @given(st.binary(max_size=60), st.integers(0, 200), st.binary(max_size=3))
    def test_any_bytes(self, rubbish: bytes, at: int, spoiling: bytes) -> None:
        """Whatever the bytes are, there is an interval or this one error."""
        payload = encode(SAMPLE)
        for candidate in (b"\x01" + rubbish, payload[:at] + spoiling + payload[at + len(spoiling) :]):
            try:
                decode(candidate)
            except BadIntervalError:
                continue
