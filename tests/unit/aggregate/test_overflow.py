"""Tests of the limit of series."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.amounts import NO_SERIES, Amount
from statsd_tcp.aggregate.counter_sums import Fall
from statsd_tcp.aggregate.encoding import decode, encode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.overflow import OVERFLOW, admit, fresh_amount
from statsd_tcp.aggregate.values import Values
from tests.unit.aggregate.model import came

SPACE = 1 << 20

NAMES = [f"n{number}" for number in range(12)]
weights = st.dictionaries(st.integers(0, 5).map(float), st.integers(1, 9).map(float), min_size=1, max_size=4).map(came)
intervals = st.builds(
    Interval,
    counters=st.dictionaries(st.sampled_from(NAMES), st.integers(0, 9).map(float)),
    times=st.dictionaries(st.sampled_from(NAMES), weights),
    distributions=st.dictionaries(st.sampled_from(NAMES), weights),
    gauges=st.dictionaries(st.sampled_from(NAMES), st.just([(1, False, 2.0)])),
    sets=st.dictionaries(st.sampled_from(NAMES), st.just({"a"})),
)
known = st.fixed_dictionaries(
    {field: st.sets(st.sampled_from(NAMES)) for field in ("counters", "times", "distributions", "gauges", "sets")}
)


def total(series: dict[str, Values]) -> float:
    """Add up all weights."""
    return sum(each.events() for each in series.values())


class AdmitTests(SynchronousTestCase):
    """What finds room, and what becomes of the rest."""

    def test_the_first_come(self) -> None:
        """What is new finds room in its order; later counters and timers are poured together, the rest is refused."""
        news = Interval(
            counters={"a": 1.0, "b": 2.0, "old": 5.0, "c": 4.0},
            times={"t": came({1.0: 10.0, 2.0: 10.0}, 10.0), "u": came({1.0: 10.0}, 10.0)},
            gauges={"g": [(1, False, 1.0)]},
            sets={"s": {"x"}},
        )
        existing = {"counters": {"old"}, "times": set(), "distributions": set(), "gauges": set(), "sets": set()}
        found = admit(news, existing, Amount(1, SPACE))
        self.assertEqual(found.interval.counters, {"a": 1.0, "old": 5.0, OVERFLOW["counters"]: 6.0})
        self.assertEqual(found.interval.times, {OVERFLOW["times"]: came({1.0: 20.0, 2.0: 10.0}, 10.0)})
        self.assertEqual((found.interval.gauges, found.interval.sets), ({}, {}))
        self.assertEqual((found.overflowed, found.refused), (4, 2))

    def test_fields_without_a_limit(self) -> None:
        """A field for which nothing is known stays as it is."""
        news = Interval(counters={"a": 1.0}, sets={"s": {"x"}})
        self.assertEqual(admit(news, {"counters": set()}, NO_SERIES).interval.sets, {"s": {"x"}})

    def test_bytes(self) -> None:
        """What finds no room for its name, in bytes and once for each line that shows it, has none behind it either."""
        news = Interval(counters={"four": 1.0, "sé": 1.0, "longer": 1.0, "x": 1.0}, times={"t": came({1.0: 1.0})})
        nothing: dict[str, set[str]] = {"counters": set(), "times": set()}
        found = admit(news, nothing, Amount(9, 4 + 3 + 6 - 1))
        self.assertEqual(found.interval.counters, {"four": 1.0, "sé": 1.0, OVERFLOW["counters"]: 2.0})
        self.assertEqual(set(found.interval.times), {OVERFLOW["times"]})
        self.assertEqual(admit(news, nothing, Amount(9, 4 + 3 + 6 + 1 + 5)).interval, news)
        self.assertEqual(admit(news, nothing, Amount(9, 4 + 3 + 6 + 1 + 4)).overflowed, 1)

    @given(intervals, known, st.integers(0, 20), st.integers(0, 100))
    def test_sums_stay_true(self, news: Interval, existing: dict[str, set[str]], number: int, size: int) -> None:
        """All that counters and timers say is still there, in no more new series than there is room for."""
        falls = {identity: Fall(-1.0, 2) for identity in news.counters if identity > "n4"}
        news = msgspec.structs.replace(news, falls=falls)
        before = decode(encode(news))
        room = Amount(number, size)
        found = admit(news, existing, room)
        self.assertEqual(news, before)
        self.assertEqual(sum(fall.amount for fall in found.interval.falls.values()), -len(news.falls))
        self.assertEqual(sum(fall.lines for fall in found.interval.falls.values()), 2 * len(news.falls))
        self.assertLessEqual(found.interval.falls.keys(), found.interval.counters.keys())
        self.assertEqual(sum(found.interval.counters.values()), sum(news.counters.values()))
        self.assertEqual(total(found.interval.times), total(news.times))
        self.assertEqual(total(found.interval.distributions), total(news.distributions))
        overflow = set(OVERFLOW.values())
        fresh = fresh_amount(found.interval, {field: each | overflow for field, each in existing.items()})
        self.assertTrue(fresh.fits(room), fresh)
        self.assertEqual(fresh.series + found.overflowed + found.refused, fresh_amount(news, existing).series)
