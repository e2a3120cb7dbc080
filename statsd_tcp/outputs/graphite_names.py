"""Names in Graphite, as etsy's server gives them: two name spaces, with prefixes, a suffix, and tags after it.

hits, tag code:200       legacy    stats.hits;code=200   stats_counts.hits;code=200
new       stats.counters.hits.rate;code=200   stats.counters.hits.count;code=200
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from statsd_tcp.aggregate.flushes import FlushResult
from statsd_tcp.outputs.graphite_paths import as_value, name_and_tags
from statsd_tcp.settings.graphite import NameRules

__all__ = ["OwnNumbers", "Point", "points"]

_MILLISECONDS = 1000

NODE = "node"
"""The tag with the name of the node."""


class OwnNumbers(NamedTuple):
    """What an output says about itself. Times of day are in seconds since 1970, durations in milliseconds."""

    last_exception: int = 0
    last_flush: int = 0
    flush_time: int = 0
    flush_length: int = 0
    calculation_time: int = 0
    lag: int = 0


Point = tuple[str, float]
"""A path and its value."""


def points(flush: FlushResult, rules: NameRules, own: OwnNumbers) -> Iterator[Point]:
    """Yield all that is said about a flush, in etsy's order."""
    spaces = _Spaces(rules)
    flush = flush.joined()
    yield from _counters(flush, rules, spaces)
    for identity, fields in flush.timers.items():
        name, tail = spaces.split(identity)
        for field, value in fields.items():
            yield f"{spaces.timers}{name}.{field}{tail}", value
    for identity, value in flush.gauges.items():
        name, tail = spaces.split(identity)
        yield f"{spaces.gauges}{name}{tail}", value
    yield f"{spaces.gauges}{rules.stats}.timestamp_lag{spaces.end}", own.lag
    for identity, members in flush.sets.items():
        name, tail = spaces.split(identity)
        yield f"{spaces.sets}{name}.count{tail}", members
    yield from _own(flush, rules, spaces, own)


class _Spaces:
    """The beginnings of all names, each with its last dot, and what is at the ends of names without tags."""

    def __init__(self, rules: NameRules) -> None:
        self._suffix = _joined("", rules.suffix).rstrip(".")
        self._node = f"{NODE}={as_value(rules.node)}" if rules.node else ""
        self.end = self._tail("")
        if rules.legacy:
            self.own, self.counters, self.timers = "stats.", "stats.", "stats.timers."
            self.gauges, self.sets = "stats.gauges.", "stats.sets."
        else:
            self.own = _before(rules.prefix)
            kinds = (rules.counters, rules.timers, rules.gauges, rules.sets)
            self.counters, self.timers, self.gauges, self.sets = (_before(rules.prefix, kind) for kind in kinds)

    def split(self, identity: str) -> tuple[str, str]:
        """Return a series' name, and what comes after it and its field."""
        name, tags = name_and_tags(identity)
        return name, self._tail(tags)

    def _tail(self, tags: str) -> str:
        """Return the suffix and the tags, that of the node among them; a client's of its name gets a prefix."""
        if not self._node:
            return self._suffix + tags
        several = [f"exported_{tag}" if tag.startswith(f"{NODE}=") else tag for tag in tags.split(";")[1:]]
        in_order = sorted([*several, self._node], key=lambda tag: tag.partition("=")[0])
        return "".join([self._suffix, *(f";{tag}" for tag in in_order)])


def _before(*parts: str) -> str:
    return "".join(f"{part}." for part in parts if part)


def _joined(*parts: str) -> str:
    return ".".join(parts)


def _counters(flush: FlushResult, rules: NameRules, spaces: _Spaces) -> Iterator[Point]:
    counts_space, rate, count = ("stats_counts.", "", "") if rules.legacy else (spaces.counters, ".rate", ".count")
    counters = dict(flush.counters)
    for name, number in _counted(flush).items():
        # A client that sends a counter of that name adds to it, as with etsy's server.
        identity = f"{rules.stats}.{name}"
        counters[identity] = counters.get(identity, 0.0) + number
    for identity, value in counters.items():
        name, tail = spaces.split(identity)
        yield f"{spaces.counters}{name}{rate}{tail}", value / flush.seconds
        if rules.counts:
            yield f"{counts_space}{name}{count}{tail}", value


def _counted(flush: FlushResult) -> dict[str, int]:
    return {"bad_lines_seen": flush.bad_lines, "packets_received": flush.datagrams, "metrics_received": flush.lines}


def _own(flush: FlushResult, rules: NameRules, spaces: _Spaces, own: OwnNumbers) -> Iterator[Point]:
    space = _before(spaces.own.rstrip("."), rules.stats)
    # Of all names only this one begins with the prefix of the service's own in the legacy name space.
    first = f"{rules.stats}." if rules.legacy else space
    # Three counters and the lag are ours; etsy counts them like those of clients.
    ours = {*(f"{rules.stats}.{name}" for name in _counted(flush))} - flush.counters.keys()
    lag = {f"{rules.stats}.timestamp_lag"} - flush.gauges.keys()
    yield f"{first}numStats{spaces.end}", len(flush) + len(ours) + len(lag)
    graphite = {
        "calculationtime": own.calculation_time,
        "last_exception": own.last_exception,
        "last_flush": own.last_flush,
        "flush_time": own.flush_time,
        "flush_length": own.flush_length,
    }
    for name, value in graphite.items():
        yield f"{space}graphiteStats.{name}{spaces.end}", value
    yield f"{space}processing_time{spaces.end}", round(flush.calculation * _MILLISECONDS)
