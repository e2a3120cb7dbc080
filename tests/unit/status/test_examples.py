"""Examples of rejected lines as the operator gets them: the last of each reason, and harmless."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.examples import BAD_PROXY_HEADER, BAD_TAGS, Example
from statsd_tcp.flush.rules import FlushState
from statsd_tcp.status.examples import LastExamples, shown
from tests.unit.web.tables import STATS, make_snapshot

TABLE = (
    (b"q:x|ms", "q:x|ms"),
    (b"a\tb\r", r"a\tb\r"),
    (b"\x1b]0;owned\x07", r"\x1b]0;owned\x07"),
    (b"\x00\x7f\x80\xff", r"\x00\x7f\x80\xff"),
    (rb"\x1b", r"\\x1b"),
    ("grüße:1|c".encode(), "grüße:1|c"),
    ("\u202eevil\u2028".encode(), r"\u202eevil\u2028"),
    ("\N{GRINNING FACE}".encode()[:3], r"\xf0\x9f\x98"),
    ("\udc80".encode(errors="surrogatepass"), r"\xed\xb2\x80"),
    (b"", ""),
)


class ShownTests(SynchronousTestCase):
    """Foreign bytes as text."""

    def test_table(self) -> None:
        """What is printable stays; what is not is written as Python writes it."""
        for line, text in TABLE:
            self.assertEqual(text, shown(line), line)

    @given(st.binary(max_size=300))
    def test_harmless(self, line: bytes) -> None:
        """Whatever comes, only printable characters are shown, and not many more than bytes came."""
        text = shown(line)
        self.assertTrue(text.isprintable())
        self.assertLessEqual(len(text), 4 * len(line))


class LastExamplesTests(SynchronousTestCase):
    """The last example of each reason."""

    def test_metrics(self) -> None:
        """Each example is one of the metric that counts its reason."""
        last = LastExamples(Clock(), kept=True)
        for reason in ("malformed_value", BAD_TAGS, BAD_PROXY_HEADER):
            last.add([Example(reason, "tcp:1", b"a")])
        found = {row["reason"]: row["metric"] for row in last.rows()}
        expected = {"malformed_value": "bad_lines", BAD_TAGS: "bad_tags", BAD_PROXY_HEADER: "connections_closed"}
        self.assertEqual(expected, found)

    def test_rows(self) -> None:
        """The latest comes first; one takes the place of the one with the same reason that was before it."""
        clock = Clock()
        last = LastExamples(clock, kept=True)
        last.add([Example("malformed_value", "tcp:8125", b"a:x|c"), Example(BAD_TAGS, "udp:8125", b"b:1|c|#:x")])
        clock.advance(2.5)
        last.add([Example("malformed_value", "unix:/x", b"\x1b:x|c", cut=True)])
        clock.advance(1)
        self.assertEqual(
            [
                {
                    "metric": "bad_lines",
                    "reason": "malformed_value",
                    "listener": "unix:/x",
                    "text": r"\x1b:x|c",
                    "cut": True,
                    "age_seconds": 1.0,
                },
                {
                    "metric": "bad_tags",
                    "reason": "bad_tags",
                    "listener": "udp:8125",
                    "text": "b:1|c|#:x",
                    "cut": False,
                    "age_seconds": 3.5,
                },
            ],
            last.rows(),
        )

    def test_series(self) -> None:
        """Series that the store leaves out are named, with their tags, whenever it has counted more of them."""
        clock = Clock()
        last = LastExamples(clock, kept=True)
        identity = "a\nk\nv\x1b"
        stats = msgspec.structs.replace(
            STATS, conflicts={"negative": 3}, dropped={"overflow": 1}, left_out={"negative": identity}
        )
        for _ in range(2):
            last.committed(msgspec.structs.replace(make_snapshot(), stats=stats))
            clock.advance(5)
        ((row), *others) = last.rows()
        self.assertEqual(
            ("series_conflicts", "negative", "", r"a;k=v\x1b", False, 10.0, []),
            (*(row[key] for key in ("metric", "reason", "listener", "text", "cut", "age_seconds")), others),
        )
        stats = msgspec.structs.replace(stats, dropped={"overflow": 2}, left_out={"overflow": "x" * 300})
        last.committed(msgspec.structs.replace(make_snapshot(), stats=stats))
        row = last.rows()[0]
        self.assertEqual(("series_dropped", "x" * 200, True), (row["metric"], row["text"], row["cut"]))

    def test_alike(self) -> None:
        """Series that an output cannot tell apart are named together."""
        last = LastExamples(Clock(), kept=True)
        last.committed(
            msgspec.structs.replace(make_snapshot(), flushes=FlushState({}, 0, merged=2, alike=("a/b", "a-b")))
        )
        self.assertEqual(
            [("series_merged", "series_merged", "a/b, a-b")],
            [(row["metric"], row["reason"], row["text"]) for row in last.rows()],
        )

    def test_takeovers(self) -> None:
        """When a name has gone to another type, a series of each is named."""
        last = LastExamples(Clock(), kept=True)
        stats = msgspec.structs.replace(STATS, conflicts={}, takeovers=1, taken_over=("q\nk\nv", "q\x1b"))
        last.committed(msgspec.structs.replace(make_snapshot(), stats=stats))
        self.assertEqual(
            [("name_takeovers", "name_takeovers", r"q;k=v, q\x1b")],
            [(row["metric"], row["reason"], row["text"]) for row in last.rows()],
        )

    def test_hidden(self) -> None:
        """Nothing is kept if the operator does not want that."""
        last = LastExamples(Clock(), kept=False)
        last.add([Example("malformed_value", "tcp:8125", b"a:x|c")])
        self.assertEqual([], last.rows())
