"""The lines of one listener during an interval: the hot path of every line.

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

from collections.abc import Callable
from typing import Final

from statsd_tcp.aggregate.accepted_lines import AcceptedLines
from statsd_tcp.aggregate.digest import Digest
from statsd_tcp.aggregate.examples import Examples
from statsd_tcp.aggregate.firsts import Firsts, Moment
from statsd_tcp.aggregate.interval import ListenerCounts
from statsd_tcp.aggregate.line_table import LineTable
from statsd_tcp.aggregate.sums import Sums
from statsd_tcp.wire.samples import GAUGE_MARK, SPACED_MARK
from statsd_tcp.wire.shape import Shape

__all__ = ["COLLECTED", "HELD", "LARGE", "TABLE_BYTES", "TABLE_LINES", "TRIAL", "ListenerLines"]

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

# Chunks wait for others no longer than this many nanoseconds: under load that is about one poll of the sockets, so that
# this costs nothing there. All lines of one batch have the same time.
_BATCH_TIME: Final = 1_000_000


class ListenerLines:
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
