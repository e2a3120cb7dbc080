"""Tests of intervals as bytes."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.counter_sums import Fall
from statsd_tcp.aggregate.encoding import VERSION_1, VERSION_2, BadIntervalError, decode, encode
from statsd_tcp.aggregate.firsts import First
from statsd_tcp.aggregate.interval import Interval
from tests.unit.aggregate.model import Chunk, came, chunks, expected, first, weights_of

SAMPLE = expected([Chunk(0, [b"a:1|c", b"a:-2|c", b"g:1|g", b"t:1|ms", b"d:1|h", b"s:m|s", b"x", b""], 1)])


class EncodingTests(SynchronousTestCase):
    """There and back."""

    @given(chunks())
    def test_round_trip(self, received: list[Chunk]) -> None:
        """What was encoded is decoded as the same."""
        interval = expected(received)
        interval.met = [First(7, place, *series) for place, series in enumerate(first(received))]
        self.assertEqual(decode(encode(interval)), interval)

    def test_empty(self) -> None:
        """An empty interval is some bytes, too."""
        self.assertTrue(decode(encode(Interval())).is_empty())

    def test_other_version(self) -> None:
        """Another version is refused, and the error names both."""
        error = self.assertRaises(BadIntervalError, decode, b"c" + encode(SAMPLE)[1:])
        self.assertIn("a version from 1 to 4", str(error))
        self.assertIn("b'c'", str(error))

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
            self.assertRaises(BadIntervalError, decode, b"\x04" + message)

    def test_columns_that_do_not_fit(self) -> None:
        """Values of half a number, or without as many counts or rates, are no interval."""
        for columns in (
            (b"1234", b"", b""),
            (bytes(16), bytes(8), b""),
            (bytes(8), b"", bytes(16)),
            (b"", bytes(8), b""),
        ):
            fields = [{}, {}, {}, 0, 0, 0, {}, {}, {"t": columns}]
            for version in (b"\x02", b"\x03", b"\x04"):
                self.assertRaises(BadIntervalError, decode, version + msgspec.msgpack.encode(fields))

    @given(st.binary(max_size=60), st.integers(0, 200), st.binary(max_size=3))
    def test_any_bytes(self, rubbish: bytes, at: int, spoiling: bytes) -> None:
        """Whatever the bytes are, there is an interval or this one error."""
        payload = encode(SAMPLE)
        spoilt = [each[:at] + spoiling + each[at + len(spoiling) :] for each in (payload, encode(SAMPLE, VERSION_1))]
        for candidate in (b"\x04" + rubbish, b"\x03" + rubbish, b"\x02" + rubbish, b"\x01" + rubbish, *spoilt):
            try:
                decode(candidate)
            except BadIntervalError:
                continue


def in_one_number(interval: Interval) -> Interval:
    """Return what is left of an interval when each counter has been one number, its rises and falls together."""
    changes = interval.counters | {
        series: fall.change(interval.counters[series]) for series, fall in interval.falls.items()
    }
    return msgspec.structs.replace(
        interval,
        counters={series: max(change, 0.0) for series, change in changes.items()},
        falls={series: Fall(change, 1) for series, change in changes.items() if change < 0.0},
    )


class SecondVersionTests(SynchronousTestCase):
    """Version 2, in which a counter is one number."""

    FIELDS: tuple[object, ...] = ({}, {"c": 2}, {}, 0, 0, 0, {"a": 5.0, "b": -1.5}, {}, {}, {}, {"s": ["m"]})

    def test_read(self) -> None:
        """What went down in all is a fall, of one line, of a counter that did not go up."""
        found = decode(b"\x02" + msgspec.msgpack.encode(self.FIELDS))
        self.assertEqual((found.counters, found.falls), ({"a": 5.0, "b": 0.0}, {"b": Fall(-1.5, 1)}))
        self.assertEqual((found.samples, found.sets), ({"c": 2}, {"s": {"m"}}))

    def test_written(self) -> None:
        """What has rises and falls is written as one number, in the fields that its readers know."""
        interval = Interval(
            counters={"a": 5.0, "b": 1.0}, falls={"b": Fall(-2.5, 2)}, samples={"c": 2}, sets={"s": {"m"}}
        )
        interval.met = [First(1, 0, "counters", "a")]
        written = encode(interval, VERSION_2)
        self.assertEqual(written[:1], b"\x02")
        self.assertEqual(tuple(msgspec.msgpack.decode(written[1:]))[:11], self.FIELDS)

    @given(chunks())
    def test_round_trip(self, received: list[Chunk]) -> None:
        """All but the falls and what came first is the same after it."""
        interval = expected(received)
        self.assertEqual(decode(encode(interval, VERSION_2)), in_one_number(interval))


class ReleaseTests(SynchronousTestCase):
    """The words of release 0.1.0: a map of values to weights, and another to the parts that were never received."""

    def said(self, times: object, unseen: object) -> bytes:
        """Return an interval as that release wrote it."""
        fields = [{}, {"ms": 5}, {}, 0, 0, 0, {"c": 1.5}, {}, times, {"d": {2.5: 1.0}}, {"s": ["m"]}, unseen, {}]
        return b"\x01" + msgspec.msgpack.encode(fields)

    def test_read(self) -> None:
        """Values, how often each came and what each stands for are what they were, in maps of every size."""
        for size in (0, 1, 15, 16, 70_000):
            weights = {float(number): 10.0 * number for number in range(1, size + 1)}
            found = decode(self.said({"t": weights}, {"t": {value: 9.0 * value for value in weights}}))
            self.assertEqual(
                found.times["t"].counted(), (list(weights), list(range(1, size + 1)), list(weights.values()))
            )
        self.assertEqual(found.distributions, {"d": came({2.5: 1.0})})
        self.assertEqual((found.counters, found.sets, found.samples), ({"c": 1.5}, {"s": {"m"}}, {"ms": 5}))

    def test_huge_weights(self) -> None:
        """However rounding falls with huge weights, a value came at least once."""
        found = decode(self.said({"t": {5.0: 1e17}}, {"t": {5.0: 1e17}}))
        self.assertEqual(found.times["t"].counted(), ([5.0], [1], [1e17]))

    def test_damaged(self) -> None:
        """What is no map of doubles is no interval."""
        damaged: list[object] = [{"t": []}, {"t": {1.0: 2}}, {"t": {"1": 2.0}}, {"t": 7}, {"t": {1: 1.0}}]
        for times in damaged:
            self.assertRaises(BadIntervalError, decode, self.said(times, {}))

    @given(chunks())
    def test_written(self, received: list[Chunk]) -> None:
        """What is written for that release says the same, and each value once."""
        interval = in_one_number(expected(received))
        written = encode(expected(received), VERSION_1)
        self.assertEqual(decode(written), interval)
        times = msgspec.msgpack.decode(written[1:])[8]
        self.assertEqual(times, {series: weights_of(values) for series, values in interval.times.items()})
