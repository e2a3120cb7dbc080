"""Counters by number: what a worker says of names, and how it is written."""

from __future__ import annotations

from struct import pack

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate import numbered
from statsd_tcp.aggregate.counter_sums import Fall
from statsd_tcp.aggregate.encoding import VERSION_3, BadIntervalError, decode, encode
from statsd_tcp.aggregate.interval import Interval, merge
from statsd_tcp.aggregate.numbered import Numbered, SaidNames

TOKEN = 5
FIRST = 5 << 32


def rises(*names: str) -> dict[str, float]:
    """Return counters, the first of which went up by 1, the second by 2 and so on."""
    return {name: float(place) for place, name in enumerate(names, 1)}


def said(session: int, first: int, names: list[str], *numbers: int) -> Numbered:
    """Return what is said of this many counters, with rises as `rises` makes them."""
    values = [float(place) for place in range(1, len(numbers) + 1)]
    return Numbered(session, first, names, pack(f"<{len(numbers)}I", *numbers), pack(f"<{len(numbers)}d", *values))


class SaidNamesTests(SynchronousTestCase):
    """The worker's side."""

    def setUp(self) -> None:
        """Begin a session."""
        self.names = SaidNames(most=4)
        self.names.begin(TOKEN)

    def test_once(self) -> None:
        """A name is said once, with the next number, and known by that from then on."""
        self.assertEqual(said(FIRST, 0, ["a", "b"], 0, 1), self.names.numbered(rises("a", "b")))
        self.assertEqual(said(FIRST, 2, ["c"], 1, 2), self.names.numbered(rises("b", "c")))
        self.assertEqual(said(FIRST, 3, [], 2, 0), self.names.numbered(rises("c", "a")))

    def test_nothing(self) -> None:
        """Where there are no counters nothing is numbered."""
        self.assertEqual(Numbered(), self.names.numbered({}))

    def test_asked_for_another(self) -> None:
        """Another token begins another session, in which all is said again; the same one changes nothing."""
        self.names.numbered(rises("a", "b"))
        self.names.begin(TOKEN)
        self.assertEqual(said(FIRST, 2, [], 1), self.names.numbered(rises("b")))
        self.names.begin(6)
        self.assertEqual(said(6 << 32, 0, ["b"], 0), self.names.numbered(rises("b")))

    def test_full(self) -> None:
        """A session that would have too many names is given up for another of the same token."""
        self.names.numbered(rises("a", "b", "c"))
        self.assertEqual(said(FIRST + 1, 0, ["b", "d", "e"], 0, 1, 2), self.names.numbered(rises("b", "d", "e")))

    def test_one_message_is_too_much(self) -> None:
        """A message of more names than a session has is said all the same, and its names are not kept."""
        many = rises(*"abcdef")
        for number in range(3):
            self.assertEqual(said(FIRST + number, 0, list("abcdef"), *range(6)), self.names.numbered(many))

    def test_unused(self) -> None:
        """A session of many names of which few are used is given up, but not for a few small messages."""
        self.patch(numbered, "_MANY", 10)
        self.names = SaidNames()
        self.names.begin(TOKEN)
        self.names.numbered(rises(*map(str, range(40))))
        sessions = [self.names.numbered(rises("1")).session - FIRST for _ in range(100)]
        self.assertEqual([0, 1], sorted(set(sessions)))
        self.assertEqual(sorted(sessions), sessions)
        self.assertGreater(sessions.index(1), 10)

    def test_a_flood(self) -> None:
        """Names that come once are not kept for long."""
        self.patch(numbered, "_MANY", 10)
        self.names = SaidNames()
        self.names.begin(TOKEN)
        for start in range(0, 1000, 10):
            self.names.numbered(rises(*map(str, range(start, start + 10))))
            self.assertLessEqual(len(self.names._numbers), 50)

    def test_large(self) -> None:
        """The last session of the largest token still has a number that a message can have."""
        self.names.begin((1 << 32) - 1)
        interval = Interval(numbered=self.names.numbered(rises("a")))
        self.assertEqual(interval, decode(encode(interval)))


class NumberedEncodingTests(SynchronousTestCase):
    """Numbers in an interval, and as bytes."""

    def test_there_and_back(self) -> None:
        """An interval with numbers comes back as it was, falls by name with it."""
        interval = Interval(numbered=said(FIRST, 0, ["a", "b"], 1, 0), falls={"a": Fall(-1.0, 1)})
        self.assertEqual(interval, decode(encode(interval)))

    def test_by_name(self) -> None:
        """An interval with names is written and read as before, also for those who know nothing of numbers."""
        interval = Interval(counters=rises("a", "b"))
        self.assertEqual([interval, interval], [decode(encode(interval)), decode(encode(interval, VERSION_3))])
        self.assertEqual(b"\x03", encode(interval, VERSION_3)[:1])

    def test_makes_no_sense(self) -> None:
        """Numbers and rises that do not belong together, of no session, or that are no numbers, are no interval."""
        good = said(FIRST, 0, ["a", "b"], 0, 1)
        for bad in (
            {"numbers": good.numbers[:-1]},
            {"numbers": good.numbers[:4]},
            {"rises": good.rises[:-1]},
            {"rises": good.rises + bytes(8)},
            {"rises": pack("<dd", 1.0, float("nan"))},
            {"rises": pack("<dd", float("inf"), 1.0)},
            {"session": 0},
            {"session": -1},
            {"first": -1},
        ):
            spoilt = msgspec.structs.replace(good, **bad)
            self.assertRaises(BadIntervalError, decode, encode(Interval(numbered=spoilt)))
        self.assertRaises(BadIntervalError, decode, encode(Interval(counters=rises("c"), numbered=good)))
        self.assertRaises(BadIntervalError, decode, encode(Interval(numbered=good), VERSION_3))

    def test_huge(self) -> None:
        """Rises whose sum is too large for a number are numbers all the same."""
        huge = msgspec.structs.replace(said(FIRST, 0, ["a", "b"], 0, 1), rises=pack("<dd", 1.7e308, 1.7e308))
        self.assertEqual(huge, decode(encode(Interval(numbered=huge))).numbered)

    def test_merged(self) -> None:
        """Numbers are not merged: they mean nothing without their session."""
        with_numbers = Interval(numbered=said(FIRST, 0, ["a"], 0))
        self.assertRaises(ValueError, merge, [Interval(), with_numbers])
        self.assertRaises(ValueError, with_numbers.add, Interval())
        self.assertFalse(with_numbers.is_empty())
