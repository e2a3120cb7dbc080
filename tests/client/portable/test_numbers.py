"""What the numbers become as lines, what they drop, and that they stay in their room."""

from __future__ import annotations

import sys
import unittest
from decimal import Decimal
from fractions import Fraction
from typing import Any

from statsd_tcp_client.numbers import Numbers
from statsd_tcp_client.text import tag_section

CASES: tuple[tuple[str, dict[str, Any], list[tuple[Any, ...]], list[str]], ...] = (
    ("counts are summed", {}, [("count", "a", 1), ("count", "a", 2), ("count", "b", -1)], ["a:3|c", "b:-1|c"]),
    ("rises and falls apart", {}, [("count", "a", 2), ("count", "a", -1), ("count", "a", 1)], ["a:3|c", "a:-1|c"]),
    ("whole numbers stay whole", {}, [("count", "a", 2**52), ("count", "a", 1)], ["a:4503599627370497|c"]),
    ("fractions are read as the same double", {}, [("count", "a", 0.1)], ["a:0.1|c"]),
    ("a rate has a sum of its own", {}, [("count", "a", 1), ("count", "a", 1, "|@0.5")], ["a:1|c", "a:1|c|@0.5"]),
    ("so have tags", {}, [("count", "a", 1, "|#x:1"), ("count", "a", 1, "|#x:2")], ["a:1|c|#x:1", "a:1|c|#x:2"]),
    ("a sum too large for a line is sent as two", {}, [("count", "a", 2**52)] * 3, [f"a:{2**52}|c"] * 3),
    ("the last value of a gauge counts", {}, [("set_gauge", "a", 1), ("set_gauge", "a", 2.5)], ["a:2.5|g"]),
    ("changes of an unknown gauge are summed", {}, [("change_gauge", "a", 3), ("change_gauge", "a", -4)], ["a:-1|g"]),
    ("a positive change has its sign", {}, [("change_gauge", "a", 3)], ["a:+3|g"]),
    ("a change of a known gauge is made here", {}, [("set_gauge", "a", 1), ("change_gauge", "a", 3)], ["a:4|g"]),
    ("a gauge below 0 is set in two lines", {}, [("set_gauge", "a", -1)], ["a:0|g", "a:-1|g"]),
    ("but not for DogStatsD", {"dialect": "dogstatsd"}, [("set_gauge", "a", -1)], ["a:-1|g"]),
    (
        "values of a timer are samples of one line",
        {},
        [("measure", "a", 1, "ms"), ("measure", "a", 2.5, "ms")],
        ["a:1.000000|ms:2.500000|ms"],
    ),
    (
        "which are packed for DogStatsD",
        {"dialect": "dogstatsd"},
        [("measure", "a", 1, "ms", "|#x"), ("measure", "a", 2.5, "ms", "|#x")],
        ["a:1.000000:2.500000|ms|#x"],
    ),
    (
        "after tags no sample can follow",
        {},
        [("measure", "a", 1, "h", "|#x:1"), ("measure", "a", 2, "h", "|#x:1")],
        ["a:1.0|h|#x:1", "a:2.0|h|#x:1"],
    ),
    (
        "a percent sign is nothing special",
        {"prefix": "%d.", "dialect": "dogstatsd"},
        [("measure", "%s", 1, "ms", "|#%r"), ("measure", "%s", 2, "ms", "|#%r"), ("measure", "%s", 1, "ms", "|@0.5")],
        ["%d.%s:1.000000:2.000000|ms|#%r", "%d.%s:1.000000|ms|@0.5"],
    ),
    ("each member of a set once", {}, [("add_member", "a", "x:y"), ("add_member", "a", "x:y")], ["a:x:y|s"]),
    (
        "the prefix is before each name, the tags are in each line",
        {"prefix": "p.", "tags": "|#env:t"},
        [("count", "a", 1), ("count", "a", 1, "|@0.5|#x"), ("set_gauge", "g", -1)],
        ["p.a:1|c|#env:t", "p.a:1|c|@0.5|#env:t,x", "p.g:0|g|#env:t", "p.g:-1|g|#env:t"],
    ),
)

BAD: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    ("bad_name", "count", ("a:b", 1)),
    ("bad_name", "count", ("a|c", 1)),
    ("bad_name", "count", ("a\nb", 1)),
    ("bad_name", "count", ("", 1)),
    ("bad_name", "count", ("!batch", 1)),
    ("bad_name", "count", ("\ud800", 1)),
    ("bad_name", "count", ("x" * 1001, 1)),
    ("bad_name", "count", ("ü" * 501, 1)),
    ("bad_name", "count", ("a", 1, "|#" + "ü" * 501)),
    ("bad_name", "add_member", ("a", "ü" * 501)),
    ("bad_name", "count", ("a", 1, "|#x\ny")),
    ("bad_name", "count", ("a", 1, "|#x|y")),
    ("bad_name", "add_member", ("a", "x|y")),
    ("bad_name", "add_member", ("a", "")),
    ("bad_value", "count", ("a", float("nan"))),
    ("bad_value", "count", ("a", float("inf"))),
    ("bad_value", "count", ("a", 2**53)),
    ("bad_value", "count", ("a", 2**52, "|@0.5", 0.5)),
    ("bad_value", "count", ("a", 1, "|@1e-300", 1e-300)),
    ("bad_value", "set_gauge", ("a", float("-inf"))),
    ("bad_value", "set_gauge", ("a", 10**5000)),
    ("bad_value", "set_gauge", ("a", -1e300)),
    ("bad_value", "change_gauge", ("a", 1e20)),
    ("bad_value", "set_gauge", ("a", Decimal("1e400"))),
    ("bad_value", "change_gauge", ("a", Decimal("NaN"))),
    ("bad_value", "count", ("a", Decimal("sNaN"))),
    ("bad_value", "count", ("a", Fraction(10**400))),
    ("bad_value", "measure", ("a", float("nan"), "ms")),
    ("bad_value", "measure", ("a", Decimal("NaN"), "ms")),
)


class Byte:
    """A whole number whose sums overflow, like those of numpy."""

    def __init__(self, value: int) -> None:
        self.value = value % 256

    def __index__(self) -> int:
        return self.value


def lines(numbers: Numbers) -> list[str]:
    """Take the numbers as lines."""
    pieces = [piece for series in numbers.take() for piece in series.pieces()]
    text = b"".join(piece.data for piece in pieces).decode()
    assert text.count("\n") == sum(piece.lines for piece in pieces)
    return text.splitlines()


class NumbersTests(unittest.TestCase):
    """Tests for `Numbers`."""

    def test_lines(self) -> None:
        """Each kind is added up and written as servers read it."""
        for what, options, calls, expected in CASES:
            with self.subTest(what):
                numbers = Numbers(2**20, **options)
                for method, *arguments in calls:
                    getattr(numbers, method)(*arguments)
                self.assertEqual(numbers.made, len(calls))
                self.assertEqual(lines(numbers), expected)
                self.assertEqual(sum(numbers.dropped.values()), 0)

    def test_dropped(self) -> None:
        """What would spoil a line or a sum is dropped and counted by reason, with an example."""
        for reason, method, arguments in BAD:
            with self.subTest(reason, arguments=arguments):
                numbers = Numbers(2**20)
                self.assertFalse(getattr(numbers, method)(*arguments))
                self.assertEqual(numbers.dropped[reason], 1)
                self.assertIn(reason, numbers.examples)
                self.assertEqual(lines(numbers), [])

    def test_no_number(self) -> None:
        """A value that is no number is the caller's mistake."""
        for value in ("1", b"1", None, [1], 1 + 0j):
            for method, more in (("count", ()), ("set_gauge", ()), ("change_gauge", ()), ("measure", ("ms",))):
                with self.subTest(method, value=value):
                    numbers = Numbers(2**20)
                    self.assertRaises(TypeError, getattr(numbers, method), "a", value, *more)
                    self.assertFalse(numbers)

    def test_other_numbers(self) -> None:
        """Numbers of other types are added up as whole numbers or doubles, in any order."""
        numbers = Numbers(2**20)
        for value in (Decimal("1.5"), 0.25, Fraction(1, 4), True, Byte(255), Byte(255)):
            numbers.count("c", value)  # type: ignore[arg-type]
            numbers.change_gauge("g", value)  # type: ignore[arg-type]
        self.assertEqual(lines(numbers), ["c:513.0|c", "g:+513.0|g"])

    def test_overflow(self) -> None:
        """The sum of a gauge's changes stays a number that a server can read."""
        numbers = Numbers(2**20)
        for _ in range(2):
            numbers.change_gauge("a", 2**64)
            numbers.change_gauge("b", -(2.0**64))
        numbers.set_gauge("c", -(2**64))
        numbers.change_gauge("c", -1)
        numbers.set_gauge("d", sys.float_info.max)
        for _ in range(2):
            numbers.change_gauge("d", 2.0**64)
        written = dict(line.split(":") for line in lines(numbers))
        self.assertEqual(
            {name: float(value.partition("|")[0]) for name, value in written.items()},
            {"a": 2.0**64, "b": -(2.0**64), "c": -(2.0**64), "d": sys.float_info.max},
        )

    def test_lowest(self) -> None:
        """A DogStatsD server takes any negative gauge, because a sign makes no change there."""
        numbers = Numbers(2**20, dialect="dogstatsd")
        numbers.set_gauge("a", -1e300)
        self.assertEqual(lines(numbers), ["a:-1e+300|g"])

    def test_no_changes_for_dogstatsd(self) -> None:
        """A change of a gauge cannot be said to a DogStatsD server, and raises `ValueError`."""
        self.assertRaises(ValueError, Numbers(2**20, dialect="dogstatsd").change_gauge, "a", 1)

    def test_first(self) -> None:
        """The first entry says that it is, also after all were taken."""
        numbers = Numbers(2**20)
        self.assertEqual([numbers.count("a", 1), numbers.count("a", 1), numbers.count("b", 1)], [True, False, False])
        numbers.take()
        self.assertTrue(numbers.measure("a", 1, "ms"))

    def test_full(self) -> None:
        """Without room new names, values and members are dropped; known counters and gauges go on."""
        numbers = Numbers(1000)
        numbers.count("known", 1)
        numbers.set_gauge("level", 1)
        for number in range(100):
            numbers.count(f"new{number}", 1)
            numbers.measure("took", number, "ms")
            numbers.add_member("users", str(number))
        dropped = numbers.dropped["full"]
        self.assertGreater(dropped, 250)
        self.assertEqual(numbers.examples, {"full": "users"})
        numbers.count("known", 1)
        numbers.set_gauge("level", 2)
        self.assertEqual(numbers.dropped["full"], dropped)
        self.assertEqual(numbers.made, 304 - dropped)
        self.assertLessEqual({"known:2|c", "level:2|g"}, set(lines(numbers)))
        self.assertEqual(numbers.room, 1000)

    def test_held(self) -> None:
        """What was taken and still waits takes room, too."""
        numbers = Numbers(1000)
        numbers.held = 1000
        numbers.count("a", 1)
        self.assertEqual(numbers.dropped["full"], 1)

    def test_tags_without_packing(self) -> None:
        """Each value has its line where tags may have colons, also with a percent sign."""
        numbers = Numbers(2**20)
        numbers.measure("%s", 1, "d", "|#a:%d")
        numbers.measure("%s", 1e-300, "d", "|#a:%d")
        self.assertEqual(lines(numbers), ["%s:1.0|d|#a:%d", "%s:1e-300|d|#a:%d"])

    def test_long_timers(self) -> None:
        """No line of a timer is as long as statsd_exporter's limit, and all values are there."""
        numbers = Numbers(2**20)
        for number in range(5000):
            numbers.measure("a", number, "ms")
        found = lines(numbers)
        self.assertLess(max(map(len, found)), 4096)
        values = [float(sample.split("|")[0]) for line in found for sample in line.partition(":")[2].split(":")]
        self.assertEqual(values, list(range(5000)))

    def test_tags(self) -> None:
        """Tags are a list or a mapping."""
        self.assertEqual(tag_section(["a:b", "c"]), "|#a:b,c")
        self.assertEqual(tag_section({"a": 1, "c": None}), "|#a:1,c")
        self.assertEqual(tag_section([]), "")


if __name__ == "__main__":
    unittest.main()
