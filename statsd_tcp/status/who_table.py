"""Sources as a table of texts: for the page, the console and the commands. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

__all__ = ["BY", "Answer", "PerSecond", "SourceRow", "Spread", "Table", "as_text", "table"]

BY = ("connections", "lines", "bytes", "bad")
"""By which numbers sources can be ranked."""


class PerSecond(msgspec.Struct, frozen=True):
    """Rates of the last minute. ``err``: by how much ``connections`` may be too high; the others are too low then."""

    connections: float
    err: float
    lines: float
    bytes: float
    bad: float


class SourceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One source at one listener: where it is, its name, its rates, and its numbers since the start.

    ``err``: by how much ``connections`` may be too high; if it is not 0 the other numbers are "at least".
    """

    source: str
    name: str
    listener: str
    per_second: PerSecond
    connections: int
    err: int
    lines: int
    bytes: int
    bad: int
    resets: int
    evicted: int
    limited: int


class Spread(msgspec.Struct, frozen=True):
    """How many sources a listener had in the last minute, and the share of the largest, 0 to 1."""

    listener: str
    sources: int
    share: float


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """What `/api/v1/who` says. ``seconds``: since counting began."""

    version: int
    node: str
    seconds: float
    by: str
    listeners: tuple[Spread, ...]
    sources: tuple[SourceRow, ...]


class Table(NamedTuple):
    """Heads and rows of as many cells; the first ``texts`` columns are words, the others numbers."""

    heads: tuple[str, ...]
    rows: list[tuple[str, ...]]
    texts: int


_ALWAYS = ("connections", "lines", "bytes")
_SOMETIMES = {"bad": "bad", "resets": "resets", "evicted": "closed", "limited": "limited"}
"""Columns that are left out where they have only zeros, with their heads."""

_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e4, "k"))


def table(rows: Sequence[SourceRow], at_most: str = "<=", at_least: str = ">=") -> Table:
    """Write sources, with marks at numbers that are not exact. What is the same everywhere, or nothing, is left out."""
    named = any(row.name for row in rows)
    extra = [name for name in _SOMETIMES if any(getattr(row, name) for row in rows)]
    heads = ["source", *(["name"] if named else []), "listener"]
    texts = len(heads)
    heads += ["conn/s", "total", "lines", "bytes", *(_SOMETIMES[name] for name in extra)]
    cells = []
    for row in rows:
        rate = _number(row.per_second.connections, at_most if row.per_second.err else "")
        mark = at_least if row.err else ""
        numbers = [_number(getattr(row, name), mark) for name in ("lines", "bytes", *extra)]
        total = _number(row.connections, at_most if row.err else "")
        cells.append((row.source, *([row.name] if named else []), row.listener, rate, total, *numbers))
    return Table(tuple(heads), cells, texts)


def as_text(shown: Table) -> list[str]:
    """Write a table as lines of equal columns."""
    widths = [max(map(len, column)) for column in zip(shown.heads, *shown.rows, strict=True)]
    lines = []
    for row in (shown.heads, *shown.rows):
        cells = [
            cell.ljust(width) if place < shown.texts else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _number(value: float, mark: str) -> str:
    """Write a number in a few characters; a rate below ten has its tenths."""
    for size, unit in _UNITS:
        if value >= size:
            return f"{mark}{value / (size if unit != 'k' else 1e3):.3g}{unit}"
    is_small = 0 < value < 10 and value != int(value)  # noqa: PLR2004
    return f"{mark}{value:.1f}" if is_small else f"{mark}{value:,.0f}"
