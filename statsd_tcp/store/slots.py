"""The open slot, kept in the store so that it is one slot also across a restart, and closed by the clock.

With every commit, in its transaction, the news are added to the slot and appended to the table of its parts. When its
end has passed it is worked out and queued for the outputs, and its parts are deleted: all or nothing. Without
outputs nothing is written, and the slot is only there to be looked at.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

import msgspec

from statsd_tcp.aggregate.collisions import PathNames
from statsd_tcp.aggregate.encoding import BadIntervalError, decode, encode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.known_series import IdleRules, KnownRow, KnownSeries
from statsd_tcp.aggregate.overflow import admit
from statsd_tcp.aggregate.slots import OpenSlot, slot_start
from statsd_tcp.aggregate.timers import TimerRules
from statsd_tcp.store.queues import Queued, Queues, Waiting

__all__ = ["DEFAULT_QUEUE", "LAG", "MAX_SERIES", "SlotRules", "SlotState", "Slots"]

MAX_SERIES = 1_000_000
"""So many series are kept unless another number is asked for."""

DEFAULT_QUEUE = 8_640
"""So many slots may wait for an output unless another number is asked for: a day, at ten seconds each."""

LAG = 0.5
"""Seconds. News were gathered during about a second before their commit: they belong to where its middle was."""

# After a longer time without a commit, as when the machine slept, nobody wants to be told of each slot.
_MOST_MISSED = 60

_PUT_PART = "INSERT INTO slot_parts (start, seconds, payload) VALUES (?, ?, ?)"
_PUT_KNOWN = """INSERT INTO slot_series (kind, identity, value, seen) VALUES (?, ?, ?, ?)
    ON CONFLICT (kind, identity) DO UPDATE SET value = excluded.value, seen = excluded.seen"""


class SlotRules(msgspec.Struct, frozen=True, kw_only=True):
    """How slots are made: their length in seconds, the numbers of timers, and what becomes of the idle.

    ``outputs`` are the names of the outputs that results are queued for, ``queue`` how many may wait for each;
    ``path_names`` is that of those which can't tell all series apart.
    """

    seconds: int = 10
    timers: TimerRules = TimerRules()
    idle: IdleRules = IdleRules()
    outputs: tuple[str, ...] = ()
    queue: int = DEFAULT_QUEUE
    max_series: int = MAX_SERIES
    path_names: PathNames | None = None


class SlotState(msgspec.Struct, frozen=True):
    """What a snapshot tells about slots: the queues by output, and how many timers were only kept approximately."""

    queues: Mapping[str, Waiting]
    approximated: int


class Slots:
    """The open slot, the known series and the queues. After an error of `write` it reads everything again."""

    def __init__(self, rules: SlotRules, clock: Callable[[], float]) -> None:
        """``clock`` gives seconds, to tell how long a result took."""
        self._rules = rules
        self._clock = clock
        self._queues = Queues(rules.outputs, rules.queue)
        self._known = KnownSeries(rules.idle, rules.path_names)
        self.open: OpenSlot | None = None
        self._loaded = False
        self._wrote = False
        self._approximated = 0

    @property
    def known(self) -> KnownSeries:
        """Give the series that outputs were told of, with the values of gauges at the end of the last slot."""
        return self._known

    def state(self) -> SlotState:
        """Describe the queues."""
        return SlotState(self._queues.waiting(), self._approximated)

    def load(self, connection: sqlite3.Connection) -> None:
        """Read the open slot, the known series and the queues."""
        self._known = KnownSeries(self._rules.idle, self._rules.path_names)
        self.open = None
        for row in connection.execute("SELECT kind, identity, value, seen FROM slot_series"):
            self._known.load(KnownRow(*row))
        for start, seconds, payload in connection.execute("SELECT start, seconds, payload FROM slot_parts ORDER BY id"):
            if self.open is None:
                self.open = OpenSlot(start, seconds)
            if payload:
                self.open.add(_decoded(payload))
        self._queues.load(connection)
        self._loaded = True

    def due(self, now: float) -> bool:
        """Tell whether a slot has come to its end at wall time ``now``, so that there is something to write."""
        return self.open is None or now >= self.open.end

    def write(
        self,
        connection: sqlite3.Connection,
        now: float,
        recovered: Sequence[Interval],
        news: Interval,
        delivered: Sequence[tuple[str, int]] = (),
    ) -> None:
        """Add what one commit brings, inside its transaction.

        ``recovered`` was received before this process, in the slot that was open then. If the commit fails, after
        this or in it, `forget` must be called.
        """
        self.recall(connection)
        if delivered:
            self._queues.acknowledge(connection, delivered)
        if self.open is None:
            self.open = self._slot_at(now)
        for interval in recovered:
            self._add(connection, self.open, interval)
        # What came before is not of this slot, and what is new was mostly there before the slot's end.
        self._add(connection, self._moved_to(connection, self.open, now - LAG), news)
        self._moved_to(connection, self.open, now)
        self._wrote = True

    def forget(self) -> None:
        """Forget what is in memory: it may be ahead of the file. It is read again before it is used."""
        self._loaded = False

    def recall(self, connection: sqlite3.Connection) -> None:
        """Read everything again if it was forgotten."""
        if not self._loaded:
            self.load(connection)

    def after(self, connection: sqlite3.Connection, output: str, slot_id: int) -> Queued | None:
        """Read the first slot behind that one which waits for an output."""
        return self._queues.after(connection, output, slot_id)

    def _moved_to(self, connection: sqlite3.Connection, slot: OpenSlot, moment: float) -> OpenSlot:
        """Close the slot if ``moment`` is not in it any more, and open the one that it is in."""
        # A clock that was set back by more than a slot: the open one lies in a future that may be far.
        if slot.start - slot.seconds <= moment < slot.end:
            return slot
        fresh = self.open = self._slot_at(moment)
        self._approximated += slot.approximated
        if self._rules.outputs:
            self._close(connection, slot)
            self._close_missed(connection, slot, fresh)
            # Without contents, but with its beginning: the slot before it must not be opened again.
            connection.execute(_PUT_PART, (fresh.start, fresh.seconds, b""))
        return fresh

    def _close_missed(self, connection: sqlite3.Connection, slot: OpenSlot, fresh: OpenSlot) -> None:
        """Give results for the slots in between in which there was no commit, if this process was there."""
        starts = range(slot.end, fresh.start, self._rules.seconds)
        if self._wrote and len(starts) <= _MOST_MISSED:
            for start in starts:
                self._close(connection, OpenSlot(start, self._rules.seconds))

    def _slot_at(self, moment: float) -> OpenSlot:
        return OpenSlot(slot_start(moment, self._rules.seconds), self._rules.seconds)

    def _close(self, connection: sqlite3.Connection, slot: OpenSlot) -> None:
        self._queues.put(connection, self._known.close(slot, self._rules.timers, self._clock))
        connection.execute("DELETE FROM slot_parts")
        connection.executemany(_PUT_KNOWN, self._known.changed)
        connection.executemany("DELETE FROM slot_series WHERE kind = ? AND identity = ?", self._known.gone)
        self._known.changed.clear()
        self._known.gone.clear()

    def _add(self, connection: sqlite3.Connection, slot: OpenSlot, news: Interval) -> None:
        if _says_nothing(news):
            return
        news = self._admitted(slot, news)
        slot.add(news)
        if self._rules.outputs:
            connection.execute(_PUT_PART, (slot.start, slot.seconds, encode(news)))

    def _admitted(self, slot: OpenSlot, news: Interval) -> Interval:
        """Leave out what is more than there may be; the store counts it, which leaves out the same."""
        here = len(slot.counters) + len(slot.timers) + len(slot.sets) + len(slot.gauges)
        kinds = (news.counters, news.times, news.distributions, news.sets, news.gauges)
        coming = sum(len(series) for series in kinds)
        if len(self._known) + here + coming <= self._rules.max_series:
            return news
        known = self._known
        existing = {
            "counters": _Either(known.identities("c"), slot.counters),
            "times": _Either(known.identities("ms"), slot.timers),
            "distributions": _Either(known.identities("ms"), slot.timers),
            "sets": _Either(known.identities("s"), slot.sets),
            "gauges": _Either(known.identities("g"), slot.gauges),
        }
        taken = sum(map(len, existing.values())) - len(existing["distributions"])
        return admit(news, existing, self._rules.max_series - taken).interval


def _says_nothing(news: Interval) -> bool:
    """Tell whether nothing came. Listeners are named in an interval also when they were idle."""
    return not (
        any(counts.lines or counts.datagrams for counts in news.listeners.values())
        or any((news.counters, news.gauges, news.times, news.distributions, news.sets, news.bad_lines))
    )


def _decoded(payload: bytes) -> Interval:
    try:
        return decode(payload)
    except BadIntervalError as error:
        # An error of the file, as the others that are found when it is read.
        raise LookupError(f"slot_parts: {error}") from error


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
