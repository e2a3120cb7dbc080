"""The mapper: from raw series to the ones that Prometheus gets."""

from __future__ import annotations

import time

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.counter_sums import Fall
from statsd_tcp.aggregate.firsts import First
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.values import Values
from statsd_tcp.mapping.document import read_mapping
from statsd_tcp.mapping.mapper import Mapper
from statsd_tcp.mapping.patterns import GlobTree
from statsd_tcp.mapping.rules import Treatment
from statsd_tcp.wire.numbers import HIGHEST
from statsd_tcp.wire.series import series_identity, split_identity
from tests.unit.aggregate.model import came
from tests.unit.mapping.cases import GOOD


def mapper(text: str, remembered: int = 1000) -> Mapper:
    """Make a mapper of a file."""
    return Mapper(read_mapping(text, "m.yml"), remembered)


class CaseTests(SynchronousTestCase):
    """The table of what statsd_exporter does."""

    def test_cases(self) -> None:
        """Every name gets the name and labels that statsd_exporter gives it, also when asked again."""
        for case in GOOD:
            made = mapper(case.text)
            for expected in case.expected * 2:
                target = made.target(expected.metric_type, expected.raw)
                with_what = f"{case.what}: {expected.raw}"
                if expected.name is None:
                    self.assertEqual((target.identity, target.outcome), (expected.raw, "unmapped"), with_what)
                elif not expected.name:
                    self.assertIsNone(target.identity, with_what)
                else:
                    assert target.identity is not None, with_what
                    name, labels = split_identity(target.identity)
                    self.assertEqual((name, dict(labels)), (expected.name, expected.labels), with_what)


class LabelTests(SynchronousTestCase):
    """Labels of rules, and tags of samples."""

    TAGGED = series_identity("a.b", [("le", "1"), ("a-b", "tag"), ("bare", "")])

    def labels(self, more: str) -> dict[str, str]:
        """Map the tagged series by a rule with these further keys."""
        target = mapper(f"mappings: [{{match: a.*, name: foo, {more}}}]").target("counter", self.TAGGED)
        assert target.identity is not None
        return dict(split_identity(target.identity)[1])

    def test_tags_stay(self) -> None:
        """Tags become labels under the names that Prometheus gets; a bare one is true."""
        self.assertEqual(self.labels("labels: {more: $1}"), {
            "a_b": "tag", "bare": "true", "exported_le": "1", "more": "b",
        })  # fmt: skip

    def test_the_rule_wins(self) -> None:
        """A label of the rule replaces a tag of that name, whatever the client wrote for it."""
        self.assertEqual(self.labels("labels: {a_b: rule}")["a_b"], "rule")

    def test_honor_labels(self) -> None:
        """With honor_labels the tag wins, and the rule's label is what is there without it."""
        labels = self.labels("honor_labels: true, labels: {a_b: rule, other: rule}")
        self.assertEqual((labels["a_b"], labels["other"]), ("tag", "rule"))


class IntervalTests(SynchronousTestCase):
    """Whole intervals."""

    JOINED = "mappings: [{match: j.*, name: joined, scale: %s}]"

    def test_without_rules_nothing_changes(self) -> None:
        """What no rule is for stays as it is."""
        raw = Interval(
            counters={"a": 1.0}, gauges={"g": [(1, False, 2.0)]}, times={"t": came({1.0: 1.0})}, sets={"s": {"x"}}
        )
        mapped = mapper("").apply(raw)
        self.assertEqual(mapped.news, raw)
        self.assertEqual((mapped.treatments, mapped.fallen), ({}, ""))

    def test_counters_add_up(self) -> None:
        """Counters that get the same name add up, scaled, and so do their falls, which are looked up once."""
        raw = Interval(
            counters={"j.a": 2.0, "j.b": 3.0, "j.c": 0.0, "other": 0.0},
            falls={"j.a": Fall(-1.0, 2), "j.c": Fall(-4.0, 1), "other": Fall(-1.0, 1)},
        )
        rules = mapper(self.JOINED % 10)
        mapped = rules.apply(raw)
        self.assertEqual(mapped.news.counters, {"joined": 50.0, "other": 0.0})
        self.assertEqual(mapped.news.falls, {"joined": Fall(-50.0, 3), "other": Fall(-1.0, 1)})
        self.assertEqual((mapped.fallen, sum(mapped.outcomes.values())), ("other", 4))

    def test_what_came_first(self) -> None:
        """What came first is so under its new name; what is dropped is not in it."""
        raw = Interval(met=[First(1, 0, "counters", "j.b"), First(2, 0, "gauges", "j.a"), First(2, 1, "times", "d.x")])
        rules = mapper("mappings: [{match: j.*, name: joined}, {match: d.*, action: drop}]")
        mapped = rules.apply(raw)
        self.assertEqual(mapped.news.met, [First(1, 0, "counters", "joined"), First(2, 0, "gauges", "joined")])
        self.assertEqual(sum(mapped.outcomes.values()), 0)

    def test_gauges_follow_the_order_of_time(self) -> None:
        """What happened to several gauges becomes what happened to one, whichever came first in the interval."""
        raw = Interval(gauges={"j.a": [(5, False, 1.0), (9, True, 1.0)], "j.b": [(7, False, 3.0)]})
        news = mapper(self.JOINED % 2).apply(raw).news
        self.assertEqual(news.gauges, {"joined": [(7, False, 6.0), (9, True, 2.0)]})
        self.assertEqual(raw.gauges["j.a"], [(5, False, 1.0), (9, True, 1.0)])

    def test_scaled_gauges_stay_finite(self) -> None:
        """A gauge that its scale would make infinite has the largest number: a change of it is a number again."""
        raw = Interval(gauges={"j.a": [(5, False, 1.7e308), (6, True, -1.7e308)]})
        news = mapper(self.JOINED % 10).apply(raw).news
        self.assertEqual(news.gauges, {"joined": [(5, False, HIGHEST), (6, True, -HIGHEST)]})

    def test_observations_add_up(self) -> None:
        """Values are scaled and keep their weights."""
        raw = Interval(
            times={"j.a": came({1.0: 2.0}), "j.b": came({1.0: 1.0, 3.0: 1.0})}, distributions={"j.a": came({5.0: 1.0})}
        )
        news = mapper(self.JOINED % 2).apply(raw).news
        self.assertEqual(news.times, {"joined": came({2.0: 3.0, 6.0: 1.0})})
        self.assertEqual(news.distributions, {"joined": came({10.0: 1.0})})
        same = mapper(self.JOINED % 1).apply(raw).news
        self.assertEqual(same.times, {"joined": came({1.0: 3.0, 3.0: 1.0})})
        self.assertEqual(raw.times["j.a"], came({1.0: 2.0}))

    def test_many_for_one(self) -> None:
        """Each value is moved once, however many series get the same name."""
        moved: list[int] = []
        extend = Values.extend

        def counting(values: Values, other: Values) -> None:
            moved.append(len(other))
            extend(values, other)

        self.patch(Values, "extend", counting)
        raw = Interval(times={f"j.{number}": came({1.0: 1.0, 2.0: 1.0}) for number in range(100)})
        self.assertEqual(len(mapper(self.JOINED % 1).apply(raw).news.times["joined"]), 200)
        self.assertEqual(sum(moved), 200)

    def test_sets_are_united(self) -> None:
        """The members of sets that get the same name are counted once; rules take sets for gauges."""
        raw = Interval(sets={"j.a": {"x", "y"}, "j.b": {"y", "z"}})
        self.assertEqual(mapper(self.JOINED % 1).apply(raw).news.sets, {"joined": {"x", "y", "z"}})
        typed = mapper("mappings: [{match: j.*, name: joined, match_metric_type: gauge}]")
        self.assertEqual(list(typed.apply(raw).news.sets), ["joined"])

    def test_dropped_and_unnamed(self) -> None:
        """What a rule drops, or gives no name, is left out and counted."""
        made = mapper("mappings: [{match: d.*, action: drop}, {match: n.*, name: $1}]")
        mapped = made.apply(
            Interval(counters={"d.a": 1.0, "n.": 1.0, "n.x": 1.0, "u": 1.0}, times={"d.t": came({1.0: 1.0})})
        )
        self.assertEqual(mapped.news.counters, {"x": 1.0, "u": 1.0})
        self.assertEqual(mapped.news.times, {})
        self.assertEqual(mapped.outcomes, {"mapped": 1, "unmapped": 1, "dropped": 2, "unnamed": 1})

    def test_treatments(self) -> None:
        """How a series is treated is told by its new identity; plain ones are not mentioned."""
        made = mapper("mappings: [{match: a.*, name: x, help: text}, {match: b.*, name: y}]")
        mapped = made.apply(Interval(counters={"a.a": 1.0, "b.b": 1.0, "c": 1.0}))
        self.assertEqual(mapped.treatments, {"counters": {"x": Treatment(help="text")}})

    @given(st.dictionaries(st.text("ab.", min_size=1, max_size=6), st.integers(1, 9).map(float), max_size=8))
    def test_sums_stay_true(self, counters: dict[str, float]) -> None:
        """However names are mapped, the sum over all counters stays, whatever is remembered."""
        made = mapper("mappings: [{match: '*', name: one}, {match: '*.*', name: 'two_$1'}]", remembered=1)
        for _ in range(2):
            news = made.apply(Interval(counters=counters)).news
            self.assertEqual(sum(news.counters.values()), sum(counters.values()))


class MemoryTests(SynchronousTestCase):
    """What is remembered, and what the network may do to it."""

    def test_it_is_bounded(self) -> None:
        """Names that never come again are forgotten."""
        made = mapper("mappings: [{match: a.*, name: $1}]", remembered=4000)
        for number in range(1000):
            self.assertEqual(made.target("counter", f"a.n{number}").identity, f"n{number}")
        self.assertLessEqual(len(made._targets["counter"]), 26)

    def test_it_is_bounded_in_bytes(self) -> None:
        """Long names are fewer."""
        made = mapper("mappings: [{match: a.*, name: $1}]", remembered=40_000)
        for number in range(100):
            made.target("counter", f"a.{number:04000}")
        self.assertLessEqual(len(made._targets["counter"]), 10)

    def test_long_names_take_no_time(self) -> None:
        """A name made to keep a backtracking engine busy for years takes no time."""
        made = mapper(r"mappings: [{match: '(.*)\.(.*)--(.*)\.status\.(.*)\.count$', match_type: regex, name: x}]")
        began = time.process_time()
        made.target("counter", "a.--.status." * 600 + "!")
        self.assertLess(time.process_time() - began, 5.0)

    def test_many_fields(self) -> None:
        """A name of thousands of fields is looked at only as deep as there are rules."""
        tree: GlobTree[int] = GlobTree(unordered=False)
        tree.add("*.*", 1)
        self.assertIsNone(tree.find("." * 8000))

    def test_globs_against_a_simple_search(self) -> None:
        """The tree finds what trying one glob after the other finds."""
        globs = ["a.*.c", "a.b.*", "*.b.c", "*.*.*", "a.b", "*"]
        tree: GlobTree[str] = GlobTree(unordered=False)
        for glob in globs:
            tree.add(glob, glob)
        for name in ("a.b.c", "a.x.c", "x.b.c", "x.y.z", "a.b.z", "a.b", "x", "", "a.b.c.d", "*.b.c"):
            fields = name.split(".")
            first = next(
                (
                    glob
                    for glob in globs
                    if len(glob.split(".")) == len(fields)
                    and all(one in ("*", field) for one, field in zip(glob.split("."), fields, strict=True))
                ),
                None,
            )
            found = tree.find(name)
            self.assertEqual(first, None if found is None else found.rule, name)
