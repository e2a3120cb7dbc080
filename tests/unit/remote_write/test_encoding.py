"""Tests of the requests of remote write against protobuf."""

from __future__ import annotations

import math
import struct

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.remote_write.encoding import (
    EMPTY,
    MOST_SERIES,
    STALE,
    Moment,
    bodies,
    bodies_of_groups,
    compressed,
    label_fields,
    labels_of,
    split,
)
from statsd_tcp.remote_write.labels import Labels
from tests.unit.remote_write.messages import read

NOW = 1_800_000_000_000

_texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=200)


class EncodingTests(SynchronousTestCase):
    """`encoding`."""

    @given(
        st.lists(
            st.tuples(st.dictionaries(_texts, _texts, max_size=4), st.floats(allow_nan=False)), min_size=1, max_size=5
        ),
        st.integers(1, 2**62),
    )
    def test_as_protobuf(self, series: list[tuple[dict[str, str], float]], now: int) -> None:
        """Protobuf reads what was written: sorted labels, and one sample of each series."""
        moment = Moment(now)
        content = compressed([moment.series(label_fields(labels.items()), value) for labels, value in series])
        self.assertEqual(read(content), [(sorted(labels.items()), [(value, now)]) for labels, value in series])

    def test_empty(self) -> None:
        """A request without series is a block of snappy with nothing in it."""
        self.assertEqual(compressed([]), EMPTY)
        self.assertEqual(read(EMPTY), [])

    def test_no_empty_label(self) -> None:
        """A label without a value is left out: receivers refuse it."""
        content = compressed([Moment(NOW).series(label_fields([("a", ""), ("b", "1")]), 1.0)])
        self.assertEqual(read(content), [([("b", "1")], [(1.0, NOW)])])

    def test_end(self) -> None:
        """A series ends with the one NaN that means it."""
        moment = Moment(NOW)
        ((_, ((value, when),)),) = read(compressed([moment.end(moment.start(label_fields([("a", "b")])))]))
        self.assertTrue(math.isnan(value))
        self.assertEqual(struct.pack("<d", value), STALE)
        self.assertEqual(when, NOW)

    def test_bounds(self) -> None:
        """A request has no more series, and no more bytes, than receivers take for sure."""
        small = Moment(NOW).series(label_fields([("a", "b")]), 1.0)
        self.assertEqual([body.series for body in bodies([small] * (2 * MOST_SERIES + 1))], [MOST_SERIES] * 2 + [1])
        large = Moment(NOW).series(label_fields([("a", "b" * 700_000)]), 1.0)
        self.assertEqual([body.series for body in bodies([small, large, large, small])], [2, 2])
        self.assertEqual(list(bodies([])), [])

    def test_groups(self) -> None:
        """What belongs together is in one request."""
        small = Moment(NOW).series(label_fields([("a", "b")]), 1.0)
        large = Moment(NOW).series(label_fields([("a", "b" * 400_000)]), 1.0)
        groups = [[small] * (MOST_SERIES - 1), [small] * 2, [large], [large, large]]
        self.assertEqual([body.series for body in bodies_of_groups(groups)], [MOST_SERIES - 1, 3, 2])

    def test_split(self) -> None:
        """A request is taken apart into the series that it was made of, and each tells its labels."""
        fields = [label_fields([("name", "x" * length)]) for length in (1, 200, 70_000)]
        series = [Moment(NOW).series(each, 1.0) for each in fields]
        self.assertEqual(split(compressed(series)), series)
        self.assertEqual([labels_of(each) for each in series], fields)
        self.assertEqual(split(EMPTY), [])


class LabelsTests(SynchronousTestCase):
    """`labels`."""

    def assert_labels(self, head: str, expected: dict[str, str], **added: str) -> None:
        """Check the labels of a line."""
        ((found, _),) = read(compressed([Moment(NOW).series(Labels(added).of_head(head), 1.0)]))
        self.assertEqual(found, sorted(expected.items()))

    def test_lines(self) -> None:
        """The labels of a series are those of its line on the page."""
        self.assert_labels("hits ", {"__name__": "hits"})
        self.assert_labels('hits{code="200",page="a"} ', {"__name__": "hits", "code": "200", "page": "a"})
        self.assert_labels('h_bucket{le="0.5"} ', {"__name__": "h_bucket", "le": "0.5"})

    def test_escapes(self) -> None:
        """What is escaped in a line is itself in a request."""
        self.assert_labels(r'a{b="q\"s\\n\n}{,c=\"d\""} ', {"__name__": "a", "b": 'q"s\\n\n}{,c="d"'})

    def test_added(self) -> None:
        """An output's own labels stay; a series' label of that name gets a prefix until none has it."""
        self.assert_labels("a ", {"__name__": "a", "node": "x"}, node="x")
        expected = {"__name__": "a", "node": "x", "exported_node": "y", "exported_exported_node": "z"}
        self.assert_labels('a{exported_node="y",node="z"} ', expected, node="x")
        self.assert_labels('A{Z="1"} ', {"__name__": "A", "Z": "1"})
