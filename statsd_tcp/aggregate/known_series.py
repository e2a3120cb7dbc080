"""The series that outputs were told of: what makes an idle one appear in the next flush, until it is forgotten.

Counters are not among them: those that exist are known.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterator, Mapping
from functools import partial
from typing import NamedTuple

import msgspec

from statsd_tcp.aggregate.collisions import Collision, PathNames, collisions
from statsd_tcp.aggregate.flushes import FlushResult, OpenFlush
from statsd_tcp.aggregate.gauges import Change, apply_changes
from statsd_tcp.aggregate.members import Sets
from statsd_tcp.aggregate.timers import TimerRules, idle_timer

__all__ = ["IdleRules", "KnownRow", "KnownSeries"]

_STEPS = 64
"""When a series came last is noted to this part of the time after which it is forgotten."""

_PLAIN_KINDS = ("ms", "s")


class IdleRules(msgspec.Struct, frozen=True, kw_only=True):
    """What becomes of a series to which nothing comes.

    ``delete`` are the kinds (``c``, ``g``, ``ms``, ``s``) that are left out of a flush in which nothing came; gauges
    only after ``gauge_flushes`` flushes, the one in which they came last among them. The others are forgotten after
    ``ttl`` seconds.
    """

    delete: frozenset[str] = frozenset()
    gauge_flushes: int = 1
    ttl: float = 7 * 86400.0


class KnownRow(NamedTuple):
    """A series as it is kept on the disk. ``seen`` is the flush in which it came last; ``value`` is a gauge's."""

    kind: str
    identity: str
    value: float
    seen: int


class _Gauge:
    """A gauge's value, the ticks of its last setting and its last change, and the flush in which it came last."""

    __slots__ = ("changed_at", "seen", "set_at", "value")

    def __init__(self, value: float, seen: int) -> None:
        self.value = value
        self.set_at: float = 0
        self.changed_at = 0
        self.seen = seen

    def change(self, changes: list[Change]) -> None:
        """Apply what happened."""
        self.value, self.set_at = apply_changes(self.value, self.set_at, changes)
        self.changed_at = max([self.changed_at, *(tick for tick, _, _ in changes)])


class KnownSeries:
    """All known series. ``changed`` and ``gone`` say what is different from the disk since they were last emptied.

    With ``path_names``, results also say what those series are together that it makes alike.
    """

    def __init__(self, rules: IdleRules, path_names: PathNames | None = None) -> None:
        self._rules = rules
        self._path_names = path_names
        self._seen: dict[str, dict[str, int]] = {kind: {} for kind in _PLAIN_KINDS}
        self._gauges: dict[str, _Gauge] = {}
        self.changed: list[KnownRow] = []
        self.gone: list[tuple[str, str]] = []

    def __len__(self) -> int:
        """Count the series."""
        return len(self._gauges) + sum(map(len, self._seen.values()))

    def load(self, row: KnownRow) -> None:
        """Take in a row of the disk. The tick of a gauge's last setting means nothing after the next boot."""
        if row.kind == "g":
            self._gauges[row.identity] = _Gauge(row.value, row.seen)
        else:
            self._seen[row.kind][row.identity] = row.seen

    def identities(self, kind: str) -> Mapping[str, object]:
        """Return the known series of a kind, as the keys of a mapping."""
        return self._gauges if kind == "g" else self._seen[kind]

    def gauges(self) -> Iterator[tuple[str, float]]:
        """Return the gauges' values at the end of the last flush."""
        return ((identity, gauge.value) for identity, gauge in self._gauges.items())

    def forget(self, kind: str, identity: str) -> bool:
        """Forget a series, and return whether it was known."""
        series: dict[str, _Gauge] | dict[str, int] = self._gauges if kind == "g" else self._seen[kind]
        if identity not in series:
            return False
        del series[identity]
        self.gone.append((kind, identity))
        return True

    def shift(self, seconds: int) -> None:
        """Move the last time of every series: the flushes go on at another time, and none was idle meanwhile."""
        for seen in self._seen.values():
            for identity in seen:
                seen[identity] += seconds
        for gauge in self._gauges.values():
            gauge.seen += seconds

    def close(
        self,
        flush: OpenFlush,
        counters: Mapping[str, float],
        rules: TimerRules,
        clock: Callable[[], float],
        odd: Collection[str] | None = None,
    ) -> FlushResult:
        """Work out the result of a flush, with what is idle in it; its ``counters`` have that already.

        ``clock`` gives seconds, to time it. ``odd`` are the counters whose names are not plain, if that is known.
        """
        began = clock()
        self._note("ms", flush.timers, flush.start)
        self._note("s", flush.sets, flush.start)
        self._change_gauges(flush)
        self._forget_idle(flush)
        sets = dict.fromkeys(self._seen["s"], 0) | {identity: len(members) for identity, members in flush.sets.items()}
        timers = dict.fromkeys(self._seen["ms"], idle_timer(rules)) | flush.observed.numbers(flush.seconds, rules)
        gauges = dict(self.gauges())
        found = FlushResult(
            start=flush.start,
            seconds=flush.seconds,
            counters=counters,
            gauges=gauges,
            sets=sets,
            timers=timers,
            lines=flush.lines,
            bad_lines=flush.bad_lines,
            datagrams=flush.datagrams,
        )
        joined = () if self._path_names is None else tuple(self._alike(self._path_names, flush, found, rules, odd))
        return msgspec.structs.replace(found, alike=joined, calculation=clock() - began)

    def _alike(
        self,
        path_names: PathNames,
        flush: OpenFlush,
        found: FlushResult,
        rules: TimerRules,
        odd: Collection[str] | None,
    ) -> Iterator[Collision]:
        """Work out what series that are alike are together, as if they had been one from the client on."""
        groups = partial(collisions, path_names)
        for names in groups(found.counters, odd if odd is None else filter(found.counters.__contains__, odd)):
            yield Collision("counters", names, sum(found.counters[name] for name in names))
        for names in groups(found.gauges):
            latest = max((self._gauges[name] for name in names), key=lambda gauge: (gauge.seen, gauge.changed_at))
            yield Collision("gauges", names, latest.value)
        for names in groups(found.sets):
            united = Sets()
            for name in names:
                united.add({"": flush.sets.get(name, ())})
            yield Collision("sets", names, len(united.members[""]))
        alike = list(groups(found.timers))
        came = flush.observed.together(alike, flush.seconds, rules)
        for names in alike:
            yield Collision("timers", names, came.get(names[0], idle_timer(rules)))

    def _note(self, kind: str, came: Mapping[str, object], start: int) -> None:
        if kind in self._rules.delete:
            return
        seen = self._seen[kind]
        stale = start - self._rules.ttl / _STEPS
        for identity in came:
            if seen.get(identity, -math.inf) < stale:
                seen[identity] = start
                self.changed.append(KnownRow(kind, identity, 0.0, start))

    def _change_gauges(self, flush: OpenFlush) -> None:
        for identity, changes in flush.gauges.items():
            gauge = self._gauges.get(identity)
            if gauge is None:
                gauge = self._gauges[identity] = _Gauge(0.0, flush.start)
            gauge.change(changes)
            gauge.seen = flush.start
            self.changed.append(KnownRow("g", identity, gauge.value, flush.start))

    def _forget_idle(self, flush: OpenFlush) -> None:
        cut = flush.end - self._rules.ttl
        for kind, seen in self._seen.items():
            # Those of a kind that is not kept were known before it was said so.
            gone = list(seen) if kind in self._rules.delete else [name for name, when in seen.items() if when < cut]
            for identity in gone:
                self.forget(kind, identity)
        if "g" in self._rules.delete:
            cut = max(cut, flush.end - self._rules.gauge_flushes * flush.seconds)
        for identity in [identity for identity, gauge in self._gauges.items() if gauge.seen < cut]:
            self.forget("g", identity)
