"""Sources as a table."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.status.who_table import PerSecond, SourceRow, as_text, table


def row(source: str, connections: int = 0, rate: float = 0.0, **more: Any) -> SourceRow:
    """Return a source of which nothing else is known."""
    numbers = {"err": 0, "lines": 0, "bytes": 0, "bad": 0, "resets": 0, "evicted": 0, "limited": 0}
    rates = PerSecond(rate, more.pop("rate_err", 0.0), 0.0, 0.0, 0.0)
    given: dict[str, Any] = {"name": "", "listener": "tcp:8125", **numbers, **more}
    return SourceRow(source=source, per_second=rates, connections=connections, **given)


class TableTests(SynchronousTestCase):
    """`table` and `as_text`."""

    def test_text(self) -> None:
        """Columns that say nothing are left out, words are on the left and numbers on the right."""
        rows = [row("10.0.0.1", 12345678, 250.25, lines=999, bad=4), row("10.0.0.22", 7, 0.25, bytes=10_000)]
        self.assertEqual(
            [
                "source     listener  conn/s  total  lines  bytes  bad",
                "10.0.0.1   tcp:8125     250  12.3M    999      0    4",
                "10.0.0.22  tcp:8125     0.2      7      0    10k    0",
            ],
            as_text(table(rows)),
        )

    def test_marks(self) -> None:
        """Numbers that are not exact have marks, and no others."""
        (cells, exact) = table([row("a", 9, 1.5, err=2, rate_err=0.5, lines=3), row("b", 9, 1.5, lines=3)]).rows
        self.assertEqual(("<=1.5", "<=9", ">=3", ">=0"), cells[2:])
        self.assertEqual(("1.5", "9", "3", "0"), exact[2:])

    def test_names(self) -> None:
        """Names have a column where there are some."""
        shown = table([row("a", name="racks"), row("b")], "≤", "≥")
        self.assertEqual(("source", "name", "listener"), shown.heads[: shown.texts])

    def test_nothing(self) -> None:
        """Without sources there are only heads."""
        self.assertEqual(["source  listener  conn/s  total  lines  bytes"], as_text(table([])))
