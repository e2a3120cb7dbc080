"""How many series a flush may have: those that outputs know, and those that came, are limited as the store's are."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import reduce

from statsd_tcp.aggregate.amounts import NO_SERIES, Amount
from statsd_tcp.aggregate.flushes import OpenFlush
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.known_series import KnownSeries
from statsd_tcp.aggregate.overflow import admit, fresh_amount

__all__ = ["FlushRoom"]

_FIELDS = {"ms": "times", "s": "sets", "g": "gauges"}


class FlushRoom:
    """The limit of what outputs know and what has come in the open flush, together.

    ``counters`` gives the amount of raw counters, which have found room when they come here.
    """

    def __init__(self, limit: Amount, counters: Callable[[], Amount]) -> None:
        self._all = limit
        self._counters = counters
        self._flush: OpenFlush | None = None
        # Not less than what there is: a series that came before the flush and in it is in it twice. To know it exactly
        # means to look at all series, which is done only when this reaches the limit.
        self._most = NO_SERIES

    def admit(self, news: Interval, flush: OpenFlush, known: KnownSeries) -> Interval:
        """Leave out what is more than a flush may have; the store, which leaves out the same, counts it."""
        limit = self._all.less(self._counters())
        if flush is not self._flush:
            self._flush, self._most = flush, _at_most(flush, known)
        most = self._most.plus(fresh_amount(news, _came(flush)))
        if not most.fits(limit):
            existing = _existing(flush, known)
            taken = _taken(existing)
            news = admit(news, existing, limit.less(taken)).interval
            most = taken.plus(fresh_amount(news, existing))
        self._most = most
        return news


def _at_most(flush: OpenFlush, known: KnownSeries) -> Amount:
    """Return what there is, with the series twice that are in both."""
    came: dict[str, Iterable[str]] = {"ms": flush.timers, "s": flush.sets, "g": flush.gauges}
    amounts = [
        Amount.of(field, series) for kind, field in _FIELDS.items() for series in (known.identities(kind), came[kind])
    ]
    return reduce(Amount.plus, amounts)


def _came(flush: OpenFlush) -> dict[str, Collection[str]]:
    """Return what came in the flush, by the fields of an interval."""
    timers = flush.timers
    return {
        "times": timers,
        "distributions": timers,
        "sets": flush.sets,
        "gauges": flush.gauges,
    }


def _existing(flush: OpenFlush, known: KnownSeries) -> dict[str, Collection[str]]:
    timers = _Either(known.identities("ms"), flush.timers)
    return {
        "times": timers,
        "distributions": timers,
        "sets": _Either(known.identities("s"), flush.sets),
        "gauges": _Either(known.identities("g"), flush.gauges),
    }


def _taken(existing: Mapping[str, Collection[str]]) -> Amount:
    """Return what there is. A timer is one, whatever its unit."""
    amounts = [Amount.of(field, series) for field, series in existing.items() if field != "distributions"]
    return reduce(Amount.plus, amounts, NO_SERIES)


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
