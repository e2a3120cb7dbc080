"""How many series a flush may have: those that outputs know, and those that came, are limited as the store's are."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from statsd_tcp.aggregate.flushes import OpenFlush
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.known_series import KnownSeries
from statsd_tcp.aggregate.overflow import admit

__all__ = ["admit_to_flush"]


def admit_to_flush(news: Interval, flush: OpenFlush, known: KnownSeries, most: int) -> Interval:
    """Leave out of an interval what is more than a flush may have; the store counts it, which leaves out the same."""
    here = len(flush.counters) + len(flush.timers) + len(flush.sets) + len(flush.gauges)
    kinds = (news.counters, news.times, news.distributions, news.sets, news.gauges)
    coming = sum(len(series) for series in kinds)
    if len(known) + here + coming <= most:
        return news
    existing = {
        "counters": _Either(known.identities("c"), flush.counters),
        "times": _Either(known.identities("ms"), flush.timers),
        "distributions": _Either(known.identities("ms"), flush.timers),
        "sets": _Either(known.identities("s"), flush.sets),
        "gauges": _Either(known.identities("g"), flush.gauges),
    }
    taken = sum(map(len, existing.values())) - len(existing["distributions"])
    return admit(news, existing, most - taken).interval


class _Either(Collection[str]):
    """The keys of two mappings."""

    def __init__(self, one: Mapping[str, object], other: Mapping[str, object]) -> None:
        self._one, self._other = one, other

    def __contains__(self, key: object) -> bool:
        return key in self._one or key in self._other

    def __len__(self) -> int:
        return len(self._one.keys() | self._other.keys())

    def __iter__(self) -> Iterator[str]:
        return iter(self._one.keys() | self._other.keys())
