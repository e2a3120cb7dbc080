"""Tests of `parse_line`, by tables."""

from __future__ import annotations

from collections.abc import Iterable

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.wire.grammar import DIALECTS, TAG_STYLES, Grammar, TagStyle
from statsd_tcp.wire.line import parse_line
from statsd_tcp.wire.reasons import REASONS
from tests.unit.wire import cases
from tests.unit.wire.cases import Case, meaning, wrong


def read(rows: Iterable[Case], grammar: Grammar) -> dict[Case, str]:
    """Read each case's line."""
    return {case: meaning(parse_line(case.line, grammar)) for case in rows}


class ParseLineTests(SynchronousTestCase):
    """Each table is one aspect of the grammar."""

    def check(self, rows: Iterable[Case], grammar: Grammar | None = None) -> None:
        """Fail with all the cases that do not mean what they should."""
        self.assertEqual(wrong(read(rows, grammar or Grammar())), [])

    def test_types(self) -> None:
        """The six types are known, everything else is rejected."""
        self.check(cases.TYPES)

    def test_structure(self) -> None:
        """A line is a name, values, a type and sections."""
        self.check(cases.STRUCTURE)

    def test_values(self) -> None:
        """Values are finite decimals of at most 2**53."""
        self.check(cases.VALUES)

    def test_gauges(self) -> None:
        """A sign changes a gauge, a value without one sets it."""
        self.check(cases.GAUGES)

    def test_absolute_gauges(self) -> None:
        """In the DogStatsD dialect a sign belongs to the value."""
        self.check(cases.ABSOLUTE, DIALECTS["dogstatsd"])

    def test_rates(self) -> None:
        """A rate is in (0, 1], scales counters, and weighs timers."""
        self.check(cases.RATES)

    def test_several_samples(self) -> None:
        """Packed values and several samples work together, and the line has one verdict."""
        self.check(cases.SAMPLES)

    def test_sets(self) -> None:
        """The members of sets keep their colons."""
        self.check(cases.SETS)

    def test_unknown_sections(self) -> None:
        """Sections that begin with a letter are ignored."""
        self.check(cases.SECTIONS)

    def test_tags(self) -> None:
        """Five styles of tags are understood, a bad tag costs only itself."""
        self.check(cases.TAGS)

    def test_no_tags(self) -> None:
        """A tag style that is off leaves its characters alone."""
        off = Grammar(tags=frozenset())
        self.check(cases.NO_TAG_STYLES, off)

    def test_packed(self) -> None:
        """Values are packed in lines that show DogStatsD; in others a colon belongs to a name, or to nothing."""
        self.check(cases.PACKED)

    def test_dogstatsd(self) -> None:
        """DogStatsD's clients pack values, and write tags in one way."""
        self.check(cases.DOGSTATSD, DIALECTS["dogstatsd"])

    def test_statsd_exporter(self) -> None:
        """In the dialect of statsd_exporter its four styles of tags are understood, and a container is a label."""
        self.check(cases.STATSD_EXPORTER, DIALECTS["statsd_exporter"])

    def test_utf8(self) -> None:
        """A line is UTF-8 from end to end."""
        self.check(cases.UTF8)

    def test_special(self) -> None:
        """Events and service checks are recognised."""
        self.check(cases.SPECIAL)

    def test_length(self) -> None:
        """A line has at most ``max_line`` bytes."""
        self.check(cases.LENGTH)

    def test_no_case_twice(self) -> None:
        """No two cases of the default grammar say something about the same line."""
        lines = [case.line for case in cases.ALL]
        self.assertEqual(len(lines), len(set(lines)))

    def test_every_reason(self) -> None:
        """The tables have every reason but the one that only a stream's end can give."""
        found = {case.meaning[1:] for case in cases.ALL if case.meaning.startswith("!")}
        self.assertEqual(found, set(REASONS) - {"truncated"})


class TagStyleTests(SynchronousTestCase):
    """Each style can be switched off alone."""

    def test_one_off(self) -> None:
        """Switching one style off leaves the others as they are."""
        lines: dict[TagStyle, bytes] = {
            "dogstatsd": b"a:1|c|#k:v",
            "influx": b"a,k=v:1|c",
            "librato": b"a#k=v:1|c",
            "signalfx": b"a[k=v]:1|c",
            "graphite": b"a;k=v:1|c",
        }
        for off in lines:
            grammar = Grammar(tags=frozenset(TAG_STYLES) - {off})
            for style, line in lines.items():
                (sample,) = parse_line(line, grammar).samples
                self.assertEqual(sample.series == "a\nk\nv", style != off, (off, style))
