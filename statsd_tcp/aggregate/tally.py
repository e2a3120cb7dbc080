"""What a worker keeps during an interval: the hot path of every line.

Real traffic repeats itself, so lines are first only counted, as they are: a table of each listener knows
how often it saw which line. Filling it takes C code alone: join, split, count. A line is read once for all
its repetitions, when the interval is taken or the table is full.

Gauges are the exception, because what happens to a gauge has an order. Their lines are counted like the
others, and the changes they make are noted at once. Where a line of a new shape came is known all the same, see
`aggregate.firsts`: a table is in the order of its lines, and has a mark for each moment at which some were new.

Where there is a part that adds plain lines up by itself (`aggregate.sums`), only the lines that it does not know
are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from statsd_tcp.aggregate.accepted_lines import AcceptedLines
from statsd_tcp.aggregate.counter_sums import CounterSums
from statsd_tcp.aggregate.digest import Digest
from statsd_tcp.aggregate.examples import BAD_PROXY_HEADER, Examples
from statsd_tcp.aggregate.firsts import Firsts, Moment
from statsd_tcp.aggregate.interval import Interval, ListenerCounts
from statsd_tcp.aggregate.line_table import LineTable
from statsd_tcp.aggregate.sums import NewSums, Sums
from statsd_tcp.wire.grammar import Grammar, named
from statsd_tcp.wire.reasons import REASONS
from statsd_tcp.wire.samples import GAUGE_MARK, SPACE, SPACED_MARK
from statsd_tcp.wire.shape import Shape

__all__ = ["TABLE_BYTES", "TABLE_LINES", "Tally", "tally_for"]

# When a table has this many lines it is read: some 3 ms for known shapes, 20 ms for lines never met before.
TABLE_LINES: Final = 4_096
# Or when this much went into it, repetitions included.
TABLE_BYTES: Final = 1 << 20

# A table may grow to LARGE times that, in lines and bytes, while lines repeat themselves in one of that size: of 20,000
# counters hardly any comes twice among 4,096 lines, but each many times a second. Whether they do is tried with one of
# TRIAL full tables, and never while their shapes are new: reading those is what takes long.
LARGE: Final = 8
TRIAL: Final = 16
_MOSTLY_KNOWN: Final = 8
_WORTH_IT: Final = 2

# When the sums have collected this much, it is counted, which takes 5 to 10 ms.
COLLECTED: Final = 1 << 16

# When an interval holds this many bytes of values and members, it is collected early.
HELD: Final = 1 << 20

# Small chunks wait until together they are worth a split: one call for hundreds of short connections.
_BATCH_BYTES: Final = 1 << 16

# They also wait no longer than this many nanoseconds: under load that is about one poll of the sockets, so that this
# costs nothing there. All lines of one batch have the same time.
_BATCH_TIME: Final = 1_000_000


class _Listener:
    """One listener's lines: chunks that wait, sums or a table of others, and counts of what is digested."""

    __slots__ = (
        "accepted",
        "counts",
        "digest",
        "examples",
        "firsts",
        "full_tables",
        "holds_much",
        "label",
        "moment",
        "pending",
        "pending_bytes",
        "scale",
        "sums",
        "table",
        "until",
    )

    def __init__(
        self,
        label: str,
        digest: Digest,
        examples: Examples,
        firsts: Firsts,
        accepted: AcceptedLines | None,
        sums: Sums | None,
        holds_much: Callable[[], object],
    ) -> None:
        self.label = label
        self.digest = digest
        self.examples = examples
        self.firsts = firsts
        self.accepted = accepted
        self.sums = sums
        self.holds_much = holds_much
        self.pending: list[bytes] = []
        self.pending_bytes = 0
        # When the first of them came, and the tick at which the next ones start.
        self.moment: Moment = (0, 0)
        self.until = 0
        self.table = LineTable()
        self.scale = 1
        self.full_tables = 0
        self.counts = ListenerCounts()

    def begin(self, tick: int) -> None:
        """Count the lines that wait, for others are to wait from now on."""
        if self.pending:
            self.split()
        self.until = tick + _BATCH_TIME
        self.moment = self.firsts.moment(tick)

    def take_in_order(self, chunk: bytes, tick: int, new_gauge: Callable[[], None]) -> bool:
        """Digest the lines that may change a gauge, and count the others; return whether one was of a new shape.

        Before the others are counted then ``new_gauge`` is called.
        """
        lines, size = self._unknown(chunk)
        gauges = [line for line in lines if line.find(GAUGE_MARK) >= 0 or line.find(SPACED_MARK) >= 0]
        self.counts.lines += len(gauges)
        once = [(line, 1) for line in gauges]
        self.examples.listener = self.label
        new = {line: shape for line, shape in self.digest.count(once, tick) if shape is not None}
        if self.accepted is not None:
            self.accepted.pass_on(once)
        self._weigh()
        if new:
            new_gauge()
            self.firsts.leave_out(tick)
            self._count_between(lines, set(gauges), dict(new), tick)
        elif len(gauges) < len(lines):
            self.split()
            others = [line for line in lines if line.find(GAUGE_MARK) < 0 and line.find(SPACED_MARK) < 0]
            self._count(others, size, self.firsts.moment(tick))
        return bool(new)

    def take_late(self, chunk: bytes) -> None:
        """Count lines that came before the chunk in which a gauge was new."""
        self._count(*self._unknown(chunk), self.firsts.left_out)

    def _count_between(self, lines: list[bytes], gauges: set[bytes], new: dict[bytes, Shape], tick: int) -> None:
        """Note where in a chunk the new gauges are, and count what is between them."""
        others: list[bytes] = []
        for line in lines:
            if line not in gauges:
                others.append(line)
            elif line in new:
                if others:
                    self._count(others, _size(others), self.firsts.moment(tick))
                    others = []
                self.firsts.note(self.firsts.moment(tick), new.pop(line))
        if others:
            self._count(others, _size(others), self.firsts.moment(tick))

    def split(self) -> None:
        """Count the lines that wait."""
        if self.pending:
            self._count(*self._unknown(b"".join(self.pending)), self.moment)
            self.pending.clear()
            self.pending_bytes = 0

    def settle(self) -> None:
        """Digest the table and empty it."""
        table, self.table = self.table, LineTable()
        self.counts.empty_lines += table.take_empty()
        lines = sum(table.lines.values())
        self.counts.lines += lines
        self.examples.listener = self.label
        learnt = self.digest.count(table.lines.items())
        if self.sums is not None:
            self.sums.learn(table.lines, self.digest.shapes)
        if learnt:
            for moment, (_, shape) in zip(table.moments(line for line, _ in learnt), learnt, strict=True):
                self.firsts.note(moment, shape)
        self._choose_scale(lines, len(table.lines), len(learnt))
        if self.accepted is not None:
            self.accepted.pass_on(table.lines.items())
        self._weigh()

    def flush(self) -> None:
        """Digest the sums."""
        if self.sums is not None:
            lines, counters, timers = self.sums.take()
            self.counts.lines += lines
            self.digest.add_sums(counters, timers)
            self._weigh()

    def _weigh(self) -> None:
        if self.digest.held > HELD:
            self.holds_much()

    def _unknown(self, chunk: bytes) -> tuple[list[bytes], int]:
        """Return the lines of a chunk that the sums cannot add up, and their bytes."""
        if self.sums is None:
            return _split(chunk), len(chunk)
        unknown = self.sums.add(chunk)
        if self.sums.collected > COLLECTED:
            self.flush()
        return unknown, _size(unknown)

    def _count(self, lines: list[bytes], size: int, moment: Moment) -> None:
        table = self.table
        table.count(lines, size, moment)
        if len(table) > TABLE_LINES * self.scale or table.size > TABLE_BYTES * self.scale:
            self.settle()

    def _choose_scale(self, lines: int, different: int, learnt: int) -> None:
        """Choose the next table's size after one of ``lines`` lines, ``different`` of them different."""
        if learnt * _MOSTLY_KNOWN > different or (self.scale > 1 and lines < different * _WORTH_IT):
            self.scale, self.full_tables = 1, 0
        elif different > TABLE_LINES:
            self.full_tables += 1
            if self.full_tables >= TRIAL:
                self.scale = LARGE


def _split(chunk: bytes) -> list[bytes]:
    """Return the lines of a chunk, whose last one ends in a newline, too."""
    lines = chunk.split(b"\n")
    lines.pop()
    return lines


def _size(lines: list[bytes]) -> int:
    """Return how many bytes lines take, with their ends."""
    return sum(map(len, lines)) + len(lines)


def _let_be() -> None:
    """Take it in its time."""


class Tally:
    """The lines of all listeners of a worker since the interval was last taken.

    Listeners are known by their index; several may have the same label. Not for several threads. ``examples`` has some
    of the lines that were rejected.
    """

    def __init__(
        self,
        listeners: Sequence[tuple[str, Grammar]],
        accepted: AcceptedLines | None = None,
        new_sums: NewSums | None = None,
        holds_much: Callable[[], object] = _let_be,
    ) -> None:
        """Serve listeners with these labels and grammars.

        The lines that are good are also given to ``accepted``: sums cannot do that, and are not used then.
        ``holds_much`` is called, and may be called again, when the interval should be taken soon.
        """
        sums = new_sums if accepted is None else None
        self._interval = Interval()
        self._counters = CounterSums()
        self.examples = Examples()
        self._firsts = Firsts()
        self._digests: dict[Grammar, Digest] = {}
        self._rejected = None if accepted is None else accepted.rejected
        self._listeners = [
            _Listener(
                label, self._digest_of(grammar), self.examples, self._firsts, accepted, sums and sums(), holds_much
            )
            for label, grammar in listeners
        ]

    def _digest_of(self, grammar: Grammar) -> Digest:
        new = Digest(grammar, self._interval, self._counters, self.examples, self._rejected)
        return self._digests.setdefault(grammar, new)

    def add(self, listener: int, chunk: bytes, tick: int) -> bool:
        """Count the lines in ``chunk``, each of which ends in a newline; return whether a gauge in it was new.

        ``tick`` is when they came, in nanoseconds of CLOCK_MONOTONIC. It must not go back from call to call.
        """
        if chunk.find(GAUGE_MARK) >= 0 or (chunk.find(SPACE) >= 0 and chunk.find(SPACED_MARK) >= 0):
            return self._listeners[listener].take_in_order(chunk, tick, self._split)
        self.add_plain(listener, [chunk], tick)
        return False

    def add_plain(self, listener: int, chunks: list[bytes], tick: int) -> None:
        """Do what ``add`` does for each of ``chunks``, none of which has a gauge."""
        of = self._listeners[listener]
        if not of.pending or tick > of.until:
            of.begin(tick)
        of.pending += chunks
        of.pending_bytes += sum(map(len, chunks))
        if of.pending_bytes > _BATCH_BYTES:
            of.split()

    def add_late(self, listener: int, chunks: list[bytes]) -> None:
        """Count lines, without gauges, that came before the chunk with a new gauge that was added last."""
        self._listeners[listener].take_late(b"".join(chunks))

    def _split(self) -> None:
        for of in self._listeners:
            if of.pending:
                of.split()

    def received(self, listener: int, nbytes: int) -> None:
        """Count bytes that were received, whether or not they made a line."""
        self._listeners[listener].counts.received_bytes += nbytes

    def datagrams(self, listener: int, count: int) -> None:
        """Count datagrams that were received."""
        self._listeners[listener].counts.datagrams += count

    def reject(self, listener: int, reason: str, count: int, beginning: bytes = b"") -> None:
        """Count lines that were dropped before they were complete, for one of ``reasons.REASONS``.

        ``beginning`` is that of one of them.
        """
        if reason not in REASONS:
            raise ValueError(reason)
        of = self._listeners[listener]
        of.counts.lines += count
        self.examples.listener = of.label
        self.examples.note(reason, beginning)
        bad_lines = self._interval.bad_lines
        bad_lines[reason] = bad_lines.get(reason, 0) + count

    def note_bad_header(self, listener: int, beginning: bytes) -> None:
        """Keep an example of what came in the place of a header. The connection is counted, and no line."""
        self.examples.listener = self._listeners[listener].label
        self.examples.note(BAD_PROXY_HEADER, beginning)

    def read(self) -> None:
        """Read all lines that wait, before the interval is taken."""
        for of in self._listeners:
            of.split()
            of.settle()
            of.flush()

    def take(self) -> Interval:
        """Return the interval since the last call, and begin another."""
        self.read()
        taken = self._interval
        for of in self._listeners:
            taken.listeners.setdefault(of.label, ListenerCounts()).add(of.counts)
            of.counts = ListenerCounts()
        taken.counters, taken.falls = self._counters.take()
        taken.met = self._firsts.take()
        self._interval = Interval()
        for digest in self._digests.values():
            digest.begin(self._interval)
        return taken


def tally_for(
    listeners: Sequence[tuple[str, str]],
    accepted: AcceptedLines | None = None,
    new_sums: NewSums | None = None,
    holds_much: Callable[[], object] = _let_be,
) -> Tally:
    """Make a tally for listeners given by label and the name of a grammar, known to it by their place.

    The lines that are good are also given to ``accepted``. ``new_sums`` makes what adds plain lines up, if anything;
    ``holds_much`` is called when the interval should be taken soon.
    """
    spoken = [(label, named(grammar)) for label, grammar in listeners]
    return Tally(spoken, accepted, new_sums, holds_much)
