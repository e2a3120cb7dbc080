"""Reads the text that Prometheus scrapes, of any server, into numbers by key.

The parser of prometheus_client cannot be used: it appends ``_total`` to the names of counters, so that ``hits`` and
``hits_total`` are one.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from statsd_tcp.commands.compare.readings import COUNT, COUNTER, GAUGE, SUM, Key

__all__ = ["NotExposition", "Page", "read_page"]

_TYPE = re.compile(r"# TYPE (\S+) (\S+)")
# name{label="value",...} number timestamp
_SAMPLE = re.compile(r"([^\s{]+)(?:\{(.*)\})?\s+(\S+)(?:\s+\S+)?")
_LABEL = re.compile(r'\s*([^\s=,]+)\s*=\s*"((?:[^"\\]|\\.)*)"\s*,?')
_ESCAPE = re.compile(r"\\(.)")

_OBSERVED = ("summary", "histogram")
_PARTS = {"_count": COUNT, "_sum": SUM}

_OWN = re.compile(
    r"(?:statscounter_(?!overflow_|client_)|statsd_exporter_|statsd_metric_mapper_|process_|go_|promhttp_)"
)
"""What the servers say about themselves."""


class NotExposition(Exception):  # noqa: N818  (an answer to the operator)
    """A text is not what Prometheus scrapes; the text names the line."""


class Page(NamedTuple):
    """``series`` are the clients' series; ``own`` what the server says about itself, by name and labels."""

    series: dict[Key, float]
    own: dict[tuple[str, tuple[tuple[str, str], ...]], float]

    def total(self, name: str, **labels: str) -> float:
        """Add up what the server says about itself under a name, with these labels."""
        wanted = labels.items()
        return sum(value for (of, has), value in self.own.items() if of == name and wanted <= dict(has).items())

    def by(self, name: str, label: str) -> dict[str, float]:
        """Return what the server says under a name by the values of one label."""
        found: dict[str, float] = {}
        for (of, has), value in self.own.items():
            if of == name:
                reason = dict(has).get(label, "")
                found[reason] = found.get(reason, 0.0) + value
        return found


def read_page(text: str) -> Page:
    """Read a page; raises `NotExposition`. Buckets and quantiles are left out."""
    page = Page({}, {})
    types: dict[str, str] = {}
    for number, line in enumerate(text.split("\n"), 1):
        found = _TYPE.match(line)
        if found:
            types[found[1]] = found[2]
        elif line and not line.isspace() and not line.startswith("#"):
            _add(page, types, number, line)
    return page


def _add(page: Page, types: dict[str, str], number: int, line: str) -> None:
    try:
        name, labels, value = _sample(line)
    except ValueError:
        raise NotExposition(f"line {number} is no sample of Prometheus' text format: {line[:60]!r}") from None
    if _OWN.match(name):
        page.own[name, labels] = value
        return
    key = _key(types, name, labels)
    if key is not None:
        page.series[key] = value


def _sample(line: str) -> tuple[str, tuple[tuple[str, str], ...], float]:
    """Take a line apart; raises `ValueError`."""
    found = _SAMPLE.fullmatch(line.strip())
    if found is None:
        raise ValueError(line)
    return found[1], tuple(sorted(_labels(found[2] or ""))), float(found[3])


def _key(types: dict[str, str], name: str, labels: tuple[tuple[str, str], ...]) -> Key | None:
    for end, what in _PARTS.items():
        if name.endswith(end) and types.get(name.removesuffix(end)) in _OBSERVED:
            return Key(what, name.removesuffix(end), labels)
    kind = types.get(name, "")
    if kind == "counter":
        return Key(COUNTER, name, labels)
    # A quantile has the summary's own name, and a bucket's family is a histogram.
    if kind in _OBSERVED or (name.endswith("_bucket") and types.get(name.removesuffix("_bucket")) == "histogram"):
        return None
    return Key(GAUGE, name, labels)


def _labels(text: str) -> Iterator[tuple[str, str]]:
    place = 0
    while place < len(text):
        found = _LABEL.match(text, place)
        if found is None:
            raise ValueError(text)
        yield found[1], _ESCAPE.sub(lambda each: {"n": "\n"}.get(each[1], each[1]), found[2])
        place = found.end()
