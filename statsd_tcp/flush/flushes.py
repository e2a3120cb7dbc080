"""The open flush, kept in the store so that it is one flush also across a restart, and closed by the clock.

With every commit, in its transaction, what it brings is added to the flush and appended to the table of its parts. When
its end has passed it is worked out and queued for the outputs, and its parts are deleted: all or nothing. Without
outputs nothing is written, and the flush is only there to be looked at.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from twisted.logger import Logger

from statsd_tcp.aggregate.amounts import Amount
from statsd_tcp.aggregate.encoding import BadIntervalError, decode, encode
from statsd_tcp.aggregate.flushes import OpenFlush, flush_start
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.known_series import KnownRow, KnownSeries
from statsd_tcp.flush.counters import Changes, FlushCounters
from statsd_tcp.flush.ends import FlushEnds
from statsd_tcp.flush.odd_names import OddNames
from statsd_tcp.flush.queues import Queued, Queues
from statsd_tcp.flush.room import FlushRoom
from statsd_tcp.flush.rules import LAG, FlushRules, FlushState
from statsd_tcp.flush.timers import FlushTimers
from statsd_tcp.series.plan import Fresh
from statsd_tcp.series.raw import RawLayer

__all__ = ["FlushNews", "FlushRules", "Flushes"]

_ALIKE_NAMED = 2
"""How many are named of the series that an output writes under one name."""

# After a longer time without a commit, empty flushes are not sent one by one.
_MOST_MISSED = 60

_NO_SERIES = Fresh()

_PUT_PART = "INSERT INTO slot_parts (start, seconds, payload, counters) VALUES (?, ?, ?, ?)"
_PARTS = "SELECT start, seconds, payload, counters FROM slot_parts ORDER BY id"
_PUT_KNOWN = """INSERT INTO slot_series (kind, identity, value, seen) VALUES (?, ?, ?, ?)
    ON CONFLICT (kind, identity) DO UPDATE SET value = excluded.value, seen = excluded.seen"""


class FlushNews(NamedTuple):
    """What comes to a flush: an interval, and the changes of counters, which are not looked for in it."""

    interval: Interval
    counters: Changes


class Flushes:
    """The open flush, the known series and the queues. After an error of `write` it reads everything again."""

    _log = Logger()

    def __init__(self, rules: FlushRules, clock: Callable[[], float], raw: RawLayer) -> None:
        """``clock`` returns seconds and is never set: it measures how long something took."""
        self._rules = rules
        self._raw = raw
        self.counters = FlushCounters(raw)
        self._odd = None if rules.path_names is None else OddNames(raw, rules.path_names.is_plain)
        self.clock = clock
        self._ends = FlushEnds(rules.seconds)
        self._queues = Queues(rules.outputs, rules.queue)
        self._known = KnownSeries(rules.idle, rules.path_names)
        self._fresh = Fresh()
        self._room = FlushRoom(rules.limit, self._raw_amount)
        self.open: OpenFlush | None = None
        self._loaded = False
        self._written: float | None = None
        self._writing: float | None = None
        """When the commit began that wrote it last, and the latest one, until that is known to have failed."""
        self._approximated = 0
        self._set_back = 0
        self._merged = 0
        self._alike: tuple[str, ...] = ()
        self._left: int | None = None

    @property
    def known(self) -> KnownSeries:
        """Return the series that outputs were told of, with the values of gauges at the end of the last flush."""
        return self._known

    def open_counters(self, fresh: Fresh = _NO_SERIES) -> dict[str, float]:
        """Return by how much counters have changed in the open flush; ``fresh`` are new, and not in the columns yet."""
        return self.counters.result(fresh, idle="c" not in self._rules.idle.delete)

    def state(self) -> FlushState:
        """Describe the queues."""
        return FlushState(self._queues.waiting(), self._approximated, self._set_back, self._merged, self._alike)

    def load(self, connection: sqlite3.Connection) -> None:
        """Read the open flush, the known series and the queues."""
        self._known = KnownSeries(self._rules.idle, self._rules.path_names)
        self._room = FlushRoom(self._rules.limit, self._raw_amount)
        self.open = None
        for row in connection.execute("SELECT kind, identity, value, seen FROM slot_series"):
            if row[0] != "c":
                self._known.load(KnownRow(*row))
        counters: list[tuple[bytes, Mapping[str, float]]] = []
        for start, seconds, payload, packed in connection.execute(_PARTS):
            if self.open is None:
                self.open = _flush(start, seconds)
            if payload:
                interval = _decoded(payload)
                self.open.add(interval)
                counters.append((packed, changed_counters(interval)))
        self.counters.load(counters)
        self._queues.load(connection)
        self._loaded = True

    def due(self, now: float) -> bool:
        """Return whether there may be something to write about the open flush's end at wall time ``now``."""
        flush = self.open
        return flush is None or not flush.start <= now < flush.end or flush.end - now > self._rules.seconds

    def write(
        self,
        connection: sqlite3.Connection,
        now: float,
        recovered: Sequence[FlushNews],
        news: FlushNews,
        fresh: Fresh,
        delivered: Sequence[tuple[str, int]] = (),
        *,
        began: float,
    ) -> None:
        """Add what one commit brings, inside its transaction.

        ``recovered`` was received before this process, in the flush that was open then; ``fresh`` are the raw counters
        that come with the commit. ``began`` is what ``clock`` said just before it was ``now``, which may be long ago:
        a commit takes as long as the disk lets it. If the commit fails, after this or in it, `forget` must be called.
        """
        self._fresh = fresh
        self.recall(connection)
        if self._writing is not None:
            self._written = self._writing
        self._writing = began
        if delivered:
            self._queues.acknowledge(connection, delivered)
        if self.open is None:
            self.open = self._flush_at(now)
        for each in recovered:
            self._add(connection, self.open, each)
        # What came before is not of this flush, and what is new was mostly there before the flush's end.
        self._add(connection, self._moved_to(connection, self.open, now - LAG), news)
        self._moved_to(connection, self.open, now)

    def forget(self) -> None:
        """Forget what is in memory: it may be ahead of the file. It is read again before it is used."""
        self._loaded = False
        self._writing = None

    @property
    def is_forgotten(self) -> bool:
        """Return whether what is in memory may be ahead of the file."""
        return not self._loaded

    def recall(self, connection: sqlite3.Connection) -> None:
        """Read everything again if it was forgotten."""
        if not self._loaded:
            self.load(connection)

    def after(self, connection: sqlite3.Connection, output: str, flush_id: int) -> Queued | None:
        """Read the first flush after that one which waits for an output."""
        return self._queues.after(connection, output, flush_id)

    def _moved_to(self, connection: sqlite3.Connection, flush: OpenFlush, moment: float) -> OpenFlush:
        """Close the flush if ``moment`` is no longer in it, and open the one that it is in."""
        end = self._ends.end_by_clock(moment)
        if self._ends.are_lost(flush, moment):
            self._follow_clock(connection, flush, end)
        elif (start := self._ends.next_start(flush, moment)) is not None:
            return self._replace(connection, flush, _flush(start, self._rules.seconds))
        elif flush.start < end < flush.end:
            # It was opened with a greater length.
            self._put_bounds(connection, flush, flush.start, end - flush.start)
        return flush

    def _replace(self, connection: sqlite3.Connection, flush: OpenFlush, fresh: OpenFlush) -> OpenFlush:
        self.open = fresh
        if self._rules.outputs:
            self._close(connection, flush)
            end = self._close_missed(connection, flush.end, fresh.start)
            self._pass_over(connection, fresh.start - end)
            # Without contents, but with its beginning: the flush before it must not be opened again.
            connection.execute(_PUT_PART, (fresh.start, fresh.seconds, b"", b""))
        else:
            self.counters.begin()
        self._approximated += flush.observed.approximated
        return fresh

    def _close_missed(self, connection: sqlite3.Connection, end: int, start: int) -> int:
        """Write results for the flushes in between, if this process was there; return the end of the last one.

        When the clock was set ahead, or the machine slept, this process was not there, however many ends have passed.
        """
        starts = range(end, start, self._rules.seconds)
        passed = 0.0 if self._written is None else self.clock() - self._written
        if not starts or len(starts) > _MOST_MISSED or passed < len(starts) * self._rules.seconds:
            return end
        for missed in starts:
            self._close(connection, _flush(missed, self._rules.seconds))
        return start

    def _follow_clock(self, connection: sqlite3.Connection, flush: OpenFlush, end: int) -> None:
        """End the open flush by the present clock."""
        back = flush.end - end
        # Not once more for a commit that failed and is tried again.
        if self._left != flush.end:
            self._left = flush.end
            self._set_back += 1
            text = "the wall clock was set back by about {seconds} s: outputs get times again that they have had"
            self._log.warn(text, seconds=back)
        self._pass_over(connection, -back)
        self._put_bounds(connection, flush, end - self._rules.seconds, self._rules.seconds)

    def _put_bounds(self, connection: sqlite3.Connection, flush: OpenFlush, start: int, seconds: int) -> None:
        flush.start, flush.seconds = start, seconds
        connection.execute("UPDATE slot_parts SET start = ?, seconds = ?", (start, seconds))

    def _pass_over(self, connection: sqlite3.Connection, seconds: int) -> None:
        """Do not let series age by time that the clock has skipped."""
        if seconds:
            self._known.shift(seconds)
            connection.execute("UPDATE slot_series SET seen = seen + ?", (seconds,))

    def _flush_at(self, moment: float) -> OpenFlush:
        return _flush(flush_start(moment, self._rules.seconds), self._rules.seconds)

    def _close(self, connection: sqlite3.Connection, flush: OpenFlush) -> None:
        counters = self.open_counters(self._fresh)
        odd = None if self._odd is None else self._odd.of([*self._fresh.identities, *self.counters.named])
        self.counters.begin()
        result = self._known.close(flush, counters, self._rules.timers, self.clock, odd)
        for one in result.alike:
            self._merged += len(one.members)
            self._alike = one.members[:_ALIKE_NAMED]
        self._queues.put(connection, result)
        connection.execute("DELETE FROM slot_parts")
        # Another release kept counters there. They are among the raw ones by now.
        connection.execute("DELETE FROM slot_series WHERE kind = 'c'")
        connection.executemany(_PUT_KNOWN, self._known.changed)
        connection.executemany("DELETE FROM slot_series WHERE kind = ? AND identity = ?", self._known.gone)
        self._known.changed.clear()
        self._known.gone.clear()

    def _add(self, connection: sqlite3.Connection, flush: OpenFlush, news: FlushNews) -> None:
        interval, changes = news
        if _says_nothing(interval) and not len(changes.positions):
            return
        interval = self._room.admit(interval, flush, self._known)
        flush.add(interval)
        self.counters.add(changes)
        if self._rules.outputs:
            payload = encode(msgspec.structs.replace(interval, counters={}, falls={}, met=[]))
            connection.execute(_PUT_PART, (flush.start, flush.seconds, payload, changes.pack()))

    def _raw_amount(self) -> Amount:
        columns = self._raw.columns
        return Amount(len(columns), columns.size).plus(Amount.of("counters", self._fresh.identities))


def changed_counters(interval: Interval) -> dict[str, float]:
    """Return by how much the counters that an interval names changed."""
    return interval.counters | {name: fall.change(interval.counters[name]) for name, fall in interval.falls.items()}


def _flush(start: int, seconds: int) -> OpenFlush:
    return OpenFlush(start, seconds, FlushTimers())


def _says_nothing(news: Interval) -> bool:
    """Return whether nothing came. Listeners are named in an interval also when they were idle."""
    return not (
        any(counts.lines or counts.datagrams for counts in news.listeners.values())
        or any((news.gauges, news.times, news.distributions, news.sets, news.bad_lines))
    )


def _decoded(payload: bytes) -> Interval:
    try:
        return decode(payload)
    except BadIntervalError as error:
        # An error of the file, as the others that are found when it is read.
        raise LookupError(f"slot_parts: {error}") from error
