"""One output flush: everything that came between two moments of the clock, and the result that the outputs get."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from statsd_tcp.aggregate.collisions import Collision
from statsd_tcp.aggregate.gauges import MOST_CHANGES, Change, merge_changes
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.members import Members, Sets
from statsd_tcp.aggregate.timers import OpenTimers

__all__ = ["FlushResult", "OpenFlush", "flush_start"]

CHANGES_IN_ALL = 1_000_000
"""When all gauges together have more changes than this, 130 MB, each may only have `FEW_CHANGES`."""

FEW_CHANGES = 16


class FlushResult(msgspec.Struct, frozen=True, kw_only=True):
    """What an output gets: the numbers of one flush, by the identity of each series (see ``wire.series``).

    * ``start`` and ``seconds``: when the flush began, in seconds since 1970, and how long it was.
    * ``counters``: how much each went up, or down; divided by ``seconds`` it is a rate. ``gauges``: their values at
      the end. ``sets``: how many different members came, or
      about how many (see `members`). ``timers``: by name what etsy's server would send, such as
      ``count``, ``mean_90`` or ``histogram.bin_10``.
    * ``lines``, ``bad_lines``, ``datagrams``: what was received in the flush.
    * ``calculation``: how long it took to work all this out, in seconds.
    * ``alike``: what those series are together that Graphite cannot tell apart, see `joined`.

    An idle series is in it with zeros (a gauge with its value) unless it was asked for that it be left out.
    """

    start: int
    seconds: int
    counters: Mapping[str, float] = {}
    gauges: Mapping[str, float] = {}
    sets: Mapping[str, int] = {}
    timers: Mapping[str, Mapping[str, float]] = {}
    lines: int = 0
    bad_lines: int = 0
    datagrams: int = 0
    calculation: float = 0.0
    alike: tuple[Collision, ...] = ()

    @property
    def timestamp(self) -> int:
        """Return the flush's end, which is its time in the outputs, in seconds since 1970."""
        return self.start + self.seconds

    def __len__(self) -> int:
        """Count the series."""
        return len(self.counters) + len(self.gauges) + len(self.sets) + len(self.timers)

    def joined(self) -> FlushResult:
        """Return the result with one series, the first of each group, in place of those that are alike."""
        if not self.alike:
            return self
        kinds = {kind: dict(getattr(self, kind)) for kind in {one.kind for one in self.alike}}
        for one in self.alike:
            for member in one.members:
                kinds[one.kind].pop(member, None)
            kinds[one.kind][one.members[0]] = one.value
        return msgspec.structs.replace(self, alike=(), **kinds)


def flush_start(now: float, seconds: int) -> int:
    """Return the beginning of the flush that ``now`` is in."""
    return int(now // seconds) * seconds


class OpenFlush:
    """What has come so far in the flush that begins at ``start``, except counters, which the store has in columns.

    ``observed`` are the timers, which the store has in columns too.
    """

    def __init__(self, start: int, seconds: int, observed: OpenTimers) -> None:
        self.start = start
        self.seconds = seconds
        self.gauges: dict[str, list[Change]] = {}
        self._sets = Sets()
        self.observed = observed
        self.lines = self.bad_lines = self.datagrams = 0
        self._changes = 0

    @property
    def end(self) -> int:
        """Return the moment from which on nothing belongs to it."""
        return self.start + self.seconds

    @property
    def sets(self) -> Mapping[str, Members]:
        """Return the members of each set."""
        return self._sets.members

    @property
    def timers(self) -> dict[str, int]:
        """Return the timers that came; one that is taken out of them is forgotten."""
        return self.observed.places

    def add(self, news: Interval) -> None:
        """Add an interval, which stays as it is."""
        for counts in news.listeners.values():
            self.lines += counts.lines
            self.datagrams += counts.datagrams
        self.bad_lines += sum(news.bad_lines.values())
        for identity, changes in news.gauges.items():
            self._change(identity, changes)
        self._sets.add(news.sets)
        # Here a name is a timer, whatever the unit of its values.
        self.observed.add(news.times)
        self.observed.add(news.distributions)

    def _change(self, identity: str, changes: list[Change]) -> None:
        before = self.gauges.get(identity, [])
        most = MOST_CHANGES if self._changes < CHANGES_IN_ALL else FEW_CHANGES
        merged = self.gauges[identity] = merge_changes(before, changes, most=most)
        self._changes += len(merged) - len(before)
