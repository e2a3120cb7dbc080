"""Lines in the tables of the documents, and what they mean, in the words that the documents use.

A table of lines has ``line`` over its first column. What a line means is written like this:

* counter `a` 5, gauge `a` set to 5, gauge `a` changed by -5, timer `a` 5, distribution `a` 5, set `a` with `x`;
* timer `a` 5, weight 10: a sample that stands for ten;
* counter `a{k=v,bare}` 5: with tags in the order of their keys;
* counter `a` 5, timer `a` 1: several samples; behind them, where there are any, 2 bad tags, and bad: `malformed_line`;
* bad: `malformed_value`, an event, a service check, an empty line.
"""

from __future__ import annotations

import re
from pathlib import Path

from statsd_tcp.wire.grammar import Dialect
from statsd_tcp.wire.line import Parsed
from statsd_tcp.wire.samples import Kind, Sample
from statsd_tcp.wire.series import split_identity

__all__ = ["MIGRATION_PAGES", "line_of", "rows_of_lines", "told"]

MIGRATION_PAGES: dict[str, Dialect] = {
    "migrating-from-etsy.md": "etsy",
    "migrating-from-statsd_exporter.md": "statsd_exporter",
    "migrating-from-dogstatsd.md": "dogstatsd",
}
"""The pages for users of other servers, with the dialect for them. Their tables say what lines mean there and here."""

_KINDS: dict[Kind, str] = {
    "c": "counter", "g": "gauge", "ms": "timer", "h": "distribution", "d": "distribution", "s": "set"
}  # fmt: skip

_WITHOUT_SAMPLES = {"event": "an event", "service_check": "a service check", "empty": "an empty line"}

_MOST_DIGITS = 1e19
"""Whole numbers above that are written with an exponent."""

_CELL = re.compile(r"(?<!\\)\|")
_ESCAPED = re.compile(rb"\\(?:(r)|(t)|x([0-9a-f]{2}))")


def rows_of_lines(path: Path) -> list[dict[str, str]]:
    """Return the rows of all tables of lines in a document: the texts of their cells by the heads of their columns."""
    rows: list[dict[str, str]] = []
    heads: list[str] = []
    for text in path.read_text().splitlines():
        cells = [cell.strip() for cell in _CELL.split(text)[1:-1]] if text.startswith("|") else []
        if not cells or cells[0].startswith("---"):
            heads = heads if cells else []
        elif heads:
            rows.append(dict(zip(heads, cells, strict=True)))
        else:
            heads = cells
    return [row for row in rows if "line" in row]


def line_of(row: dict[str, str]) -> bytes:
    """Return the line of a row: carriage returns, tabs and bytes that are no text are written as in Python."""
    code = row["line"].removeprefix("`").removesuffix("`").replace(r"\|", "|").encode()
    return _ESCAPED.sub(lambda found: b"\r" if found[1] else b"\t" if found[2] else bytes([int(found[3], 16)]), code)


def told(parsed: Parsed) -> str:
    """Write what was read as a document does."""
    if parsed.what in _WITHOUT_SAMPLES:
        return _WITHOUT_SAMPLES[parsed.what]
    parts = [_sample(sample) for sample in parsed.samples]
    if parsed.bad_tags:
        parts.append(f"{parsed.bad_tags} bad tag{'s' if parsed.bad_tags > 1 else ''}")
    if parsed.reason:
        parts.append(f"bad: `{parsed.reason}`")
    return ", ".join(parts)


def _sample(sample: Sample) -> str:
    name, tags = split_identity(sample.series)
    written = ",".join(f"{key}={value}" if value else key for key, value in tags)
    series = f"{_KINDS[sample.kind]} `{name}{'{' + written + '}' if written else ''}`".replace("|", r"\|")
    if isinstance(sample.value, str):
        return f"{series} with `{sample.value}`"
    verb = "" if sample.kind != "g" else "changed by " if sample.relative else "set to "
    weight = "" if sample.weight == 1.0 or sample.kind == "c" else f", weight {sample.weight:.10g}"
    return f"{series} {verb}{_number(sample.value)}{weight}"


def _number(value: float) -> str:
    return f"{int(value)}" if value.is_integer() and abs(value) < _MOST_DIGITS else f"{value:.10g}"
