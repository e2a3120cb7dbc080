"""Examples of what is rejected: by reason, with the listener, and bounded."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.accepted_lines import AcceptedLines
from statsd_tcp.aggregate.examples import BAD_PROXY_HEADER, BAD_TAGS, LONGEST, Example, Examples
from statsd_tcp.aggregate.sums import BUILT, new_sums
from statsd_tcp.aggregate.tally import Tally, tally_for
from statsd_tcp.wire.reasons import LINE_TOO_LONG, MALFORMED_LINE, REASONS, TRUNCATED
from tests.unit.wire import cases

LISTENERS = (("tcp:8125", "etsy"), ("udp:8125", "etsy"))


class ExamplesTests(SynchronousTestCase):
    """What is kept of rejected lines."""

    def test_first_of_each(self) -> None:
        """Of each reason the first line is kept, until it is taken; then the next one."""
        examples = Examples()
        examples.listener = "tcp:8125"
        for line in (b"x", b"y"):
            examples.note(MALFORMED_LINE, line)
            examples.note(BAD_TAGS, line)
        self.assertEqual(
            (Example(MALFORMED_LINE, "tcp:8125", b"x"), Example(BAD_TAGS, "tcp:8125", b"x")), examples.take()
        )
        examples.note(MALFORMED_LINE, b"z")
        self.assertEqual((Example(MALFORMED_LINE, "tcp:8125", b"z"),), examples.take())
        self.assertEqual((), examples.take())

    def test_bounded(self) -> None:
        """Of a long line the beginning is kept, and that there was more."""
        examples = Examples()
        for reason, size in ((MALFORMED_LINE, LONGEST), (LINE_TOO_LONG, 10 * LONGEST)):
            examples.note(reason, b"x" * size)
        self.assertEqual([(LONGEST, False), (LONGEST, True)], [(len(one.line), one.cut) for one in examples.take()])


class TallyExamplesTests(SynchronousTestCase):
    """A tally gives examples of all that it rejects."""

    def tallies(self) -> list[Tally]:
        """Return a tally of each kind: in Python, one whose lines are sent on, and one with sums in C."""
        tallies = [tally_for(LISTENERS), tally_for(LISTENERS, AcceptedLines(lambda _: None))]
        return tallies + ([tally_for(LISTENERS, None, lambda: new_sums(1))] if BUILT else [])

    def test_listeners(self) -> None:
        """An example names the listener that the line came in at, also where listeners share a grammar."""
        for tally in self.tallies():
            for _ in range(2):
                tally.add(0, b"a:1|c\nq:x|ms\na:2|c\n", 1)
                tally.add(1, b"u|c\n", 1)
                tally.add(1, b"g:x|g\n", 2)
                tally.take()
                self.assertEqual(
                    {
                        Example("malformed_value", "udp:8125", b"g:x|g"),
                        Example("malformed_line", "udp:8125", b"u|c"),
                    },
                    set(tally.examples.take()),
                )

    def test_before_they_are_whole(self) -> None:
        """Lines that never became whole are shown by their beginning."""
        (tally, *_) = self.tallies()
        tally.reject(1, TRUNCATED, 3, b"a:1")
        self.assertEqual((Example(TRUNCATED, "udp:8125", b"a:1"),), tally.examples.take())

    def test_bad_header(self) -> None:
        """What came in the place of a header is an example, and no line."""
        (tally, *_) = self.tallies()
        tally.note_bad_header(1, b"a:1|c\n")
        self.assertEqual((Example(BAD_PROXY_HEADER, "udp:8125", b"a:1|c\n"),), tally.examples.take())
        self.assertEqual({}, tally.take().bad_lines)

    def test_good_beside_bad(self) -> None:
        """A line with bad tags, or with a bad sample next to good ones, is an example although it counts."""
        for tally in self.tallies():
            tally.add(0, b"a:1|c|#k:v,:x\nb:1|c:2\n", 1)
            self.assertEqual({"a": 1.0, "b": 1.0}, {name.partition("\n")[0]: 1.0 for name in tally.take().counters})
            found = {one.reason: one.line for one in tally.examples.take()}
            self.assertEqual({BAD_TAGS: b"a:1|c|#k:v,:x", MALFORMED_LINE: b"b:1|c:2"}, found)

    def test_all_reasons(self) -> None:
        """Whatever is counted as bad has an example with that reason, and nothing else has."""
        met: set[str] = set()
        for case in cases.ALL:
            for tally in self.tallies():
                tally.add(0, case.line + b"\n", 1)
                taken = tally.take()
                reasons = {*taken.bad_lines, *([BAD_TAGS] if taken.bad_tags else [])}
                self.assertEqual(reasons, {one.reason for one in tally.examples.take()}, case.line)
                met |= reasons
        self.assertEqual({*REASONS, BAD_TAGS} - {TRUNCATED}, met)
