"""What two servers are compared by: numbers by key, read twice, and how far they went up in between."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

from statsd_tcp.mapping.names import exposition_name, label_name

__all__ = ["Key", "Reading", "Span", "There", "key_of", "values_of", "went_up", "widened"]

COUNTER, GAUGE, COUNT, SUM = "counter", "gauge", "count", "sum"
"""What a number is: a counter's total, a gauge's value, how many observations a timer has, and their sum."""


_NOTHING = 0.05
"""How many totals may be expected to lack something, for it to be taken for none."""


class Key(NamedTuple):
    """One number of one series: what it is, and the name and labels that Prometheus has for the series."""

    what: str
    name: str
    labels: tuple[tuple[str, str], ...] = ()


Reading = Mapping[Key, float]
"""All numbers of a server at one time."""


class Span(NamedTuple):
    """A number that is known up to what came while it was read: the one that is shown, the least and the most."""

    shown: float
    least: float
    most: float


class There(NamedTuple):
    """What the other server has, over the interval.

    ``numbers`` are how far totals went up, and the last values of gauges; None for one that this server does not tell.
    ``names`` are its own names, where they are others than those of the keys. ``lines`` is how many lines came, and
    ``bad`` how many it could not use, or parts of them. ``shows_sets`` tells whether its sets are among its gauges,
    and ``bad_alike`` are the reasons of bad lines here that are bad there, too.
    """

    numbers: Mapping[Key, float | None]
    names: Mapping[Key, str]
    lines: float
    bad: float
    shows_sets: bool = True
    bad_alike: frozenset[str] = frozenset()


def key_of(what: str, raw: str) -> Key:
    """Return the key of a series that etsy's server calls ``name;key=value;key``."""
    name, *tags = raw.split(";")
    labels = {label_name(key): value or "true" for key, _, value in (tag.partition("=") for tag in tags)}
    return Key(what, exposition_name(name), tuple(sorted(labels.items())))


def went_up(before: tuple[Reading, Reading], after: tuple[Reading, Reading]) -> dict[Key, Span]:
    """Return how far totals went up between two moments, of which each lies between two readings.

    What is new began at 0.
    """
    (early, late), (first, last) = before, after
    spans = {}
    for key in last.keys() | first.keys():
        begins = early.get(key, 0.0), late.get(key, 0.0)
        ends = first.get(key, 0.0), last.get(key, 0.0)
        all_of_them = [end - begin for begin in begins for end in ends]
        spans[key] = Span(ends[1] - begins[1], min(all_of_them), max(all_of_them))
    return spans


def values_of(first: Reading, last: Reading) -> dict[Key, Span]:
    """Return the values of gauges at a moment that lies between two readings."""
    spans = {}
    for key, value in last.items():
        other = first.get(key, value)
        spans[key] = Span(value, min(value, other), max(value, other))
    return spans


def widened(spans: Mapping[Key, Span], share: float) -> dict[Key, Span]:
    """Lower what totals went up by at least, by what may have come in a share of the time that the other side lacks.

    Of one total that is a bound which one in some thousands exceeds. As long as it is not to be expected that anything
    at all came for one of these totals, nothing is changed.
    """
    if share * len(spans) < _NOTHING:
        return dict(spans)
    found = {}
    for key, span in spans.items():
        size = max(abs(span.least), abs(span.most))
        count = spans.get(key._replace(what=COUNT))
        # The size of what comes at once: of a timer's sum a mean value.
        step = size / count.most if key.what == SUM and count is not None and count.most > 0 else 1.0
        mean = share * size
        slack = 3 * mean + 3 * math.sqrt(mean * step) + step if size and key.what != GAUGE else 0.0
        found[key] = span._replace(least=span.least - slack)
    return found
