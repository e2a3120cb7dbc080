"""A comparison as a table for people and as JSON for programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec

from statsd_tcp.commands.compare.judge import Row, Verdict
from statsd_tcp.commands.compare.measure import Measured
from statsd_tcp.commands.compare.reasons import Origin

__all__ = ["JSON_VERSION", "as_json", "as_text"]

JSON_VERSION = 1
"""Raised when a field changes its meaning or goes; new fields may come at any time."""

_HEAD = ("", "type", "name", "here", "there", "difference", "likely reason")
_RIGHT = range(3, 6)
"""The columns of numbers."""


def as_json(measured: Measured, origin: Origin, titles: tuple[str, str], status: int) -> str:
    """Write one JSON object. Numbers that are the same are only counted."""
    rows = [row for row in measured.rows if row.verdict is not Verdict.SAME]
    document = {
        "version": JSON_VERSION,
        "status": status,
        "here": titles[0],
        "there": titles[1],
        "seconds": round(measured.seconds, 3),
        "unseen_seconds": round(measured.unseen, 3),
        "lines": {"here": measured.lines_here, "there": measured.lines_there},
        "counts": {verdict.value: number for verdict, number in _counts(measured.rows).items()},
        "rows": [row._asdict() | {"verdict": row.verdict.value} for row in rows],
        "reasons": {name: origin.words(name) for name in _named(rows)},
        "page": origin.page,
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def as_text(measured: Measured, origin: Origin, titles: tuple[str, str]) -> Iterator[str]:
    """Yield the lines for people."""
    yield f"here: {titles[0]}    there: {titles[1]}    for {measured.seconds:,.0f} seconds"
    lines = f"lines: {_number(measured.lines_here)} here, {_number(measured.lines_there)} there"
    unseen = f"; what came in {measured.unseen:.3f} seconds before its flushes ended cannot be seen there"
    yield lines + (unseen if measured.unseen else "")
    rows = [row for row in measured.rows if row.verdict is not Verdict.SAME]
    if rows:
        yield ""
        yield from _table([_HEAD, *map(_cells, rows)])
    yield ""
    counts = _counts(measured.rows)
    yield ", ".join(f"{verdict.value}: {number:,}" for verdict, number in counts.items())
    names = _named(rows)
    if names:
        yield ""
        yield f"the reasons, explained in {origin.page}:"
        yield from _table([(f"  {name}", origin.words(name)) for name in names])


def _counts(rows: Sequence[Row]) -> dict[Verdict, int]:
    found = Counter(row.verdict for row in rows)
    return {verdict: found[verdict] for verdict in Verdict if found[verdict] or verdict is Verdict.SAME}


def _named(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row.reasons))


def _cells(row: Row) -> tuple[str, ...]:
    here, there = row.here, row.there
    difference = "" if here is None or there is None else f"{here - there:+,.10g}"
    return (row.verdict.value, row.what, row.name, _number(here), _number(there), difference, ", ".join(row.reasons))


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:,.10g}"


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.rjust(width) if number in _RIGHT else cell.ljust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()
