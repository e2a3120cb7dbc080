"""What comes to the timers of one commit, as arrays."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.values import Values, packed
from statsd_tcp.mapping.rules import PLAIN, Treatment
from statsd_tcp.series.observations import Observations, gathered

number = st.floats(-(2.0**53), 2.0**53)
said = st.tuples(number, st.integers(1, 12), st.sampled_from([1.0, 10.0, 10 / 3]))
series = st.dictionaries(st.sampled_from("abcdef"), st.lists(said, max_size=20))


def values(lines: list[tuple[float, int, float]]) -> Values:
    """Return values that came so often, at a rate."""
    result = Values()
    for value, times, rate in lines:
        result.add(packed((value,)), times, rate)
    return result


def rows(came: Observations) -> list[tuple[str, float, float]]:
    """Return each value with the name of its series and its weight."""
    names = [name for name, length in zip(came.identities, came.lengths.tolist(), strict=True) for _ in range(length)]
    weights = [1.0] * len(names) if came.weights is None else came.weights.tolist()
    return list(zip(names, came.values.tolist(), weights, strict=True))


class ObservationsTests(SynchronousTestCase):
    """Values of many series."""

    @given(series)
    def test_sums(self, news: Mapping[str, list[tuple[float, int, float]]]) -> None:
        """Each series has the exactly rounded sum of its values and that of their weights; without values it is not."""
        came = gathered({name: values(lines) for name, lines in news.items()})
        found = dict(zip(came.identities, zip(*(each.tolist() for each in came.sums()), strict=True), strict=True))
        self.assertEqual(list(found), [name for name, lines in news.items() if lines])
        for name, (total, weight) in found.items():
            own = [(value, each) for series_name, value, each in rows(came) if series_name == name]
            self.assertEqual(total, float(sum(Fraction(value * each) for value, each in own)))
            self.assertEqual(weight, float(sum(Fraction(each) for _, each in own)))
            self.assertAlmostEqual(weight, sum(times * rate for _, times, rate in news[name]))

    @given(series, st.lists(number, unique=True, max_size=4).map(sorted))
    def test_buckets(self, news: Mapping[str, list[tuple[float, int, float]]], bounds: list[float]) -> None:
        """A value is in the first bucket whose bound is not below it, whatever else is there."""
        came = gathered({name: values(lines) for name, lines in news.items()})
        expected = {name: [0.0] * (len(bounds) + 1) for name in came.identities}
        for name, value, weight in rows(came):
            expected[name][bisect_left(bounds, value / 1000.0)] += weight
        found = dict(zip(came.identities, came.in_buckets(bounds, 1000.0).tolist(), strict=True))
        self.assertEqual(found, {name: counts[:-1] for name, counts in expected.items()})

    @given(series)
    def test_by_treatment(self, news: Mapping[str, list[tuple[float, int, float]]]) -> None:
        """Those that are treated alike stay together, and none is lost."""
        came = gathered({name: values(lines) for name, lines in news.items()})
        other = Treatment(help="other")
        parts = [(each, came.of(chosen)) for each, chosen in came.by_treatment({"a": other, "b": other})]
        self.assertLessEqual(len(parts), 2)
        self.assertEqual(sorted(row for _, part in parts for row in rows(part)), sorted(rows(came)))
        for treatment, part in parts:
            self.assertEqual({other if name in "ab" else PLAIN for name in part.identities}, {treatment})
