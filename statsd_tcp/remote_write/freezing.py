"""What an output is told at the end of a slot: the lines that have changed, as requests that are ready to be sent.

    first samples    0 of each new line that counts, at the slot's start: so a rise from nothing is one
    ends             the mark that a series ends, of lines that are on the page no more
    values           of lines that have changed, and of every line at least each two minutes

A line is new if its series came after the output was told of the series before it, and after a receiver has taken
anything from the output: what was there before begins with its total.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from hashlib import blake2b
from itertools import chain
from threading import Lock
from typing import Final, NamedTuple

from prometheus_client.core import Metric

from statsd_tcp.remote_write.encoding import Moment, bodies
from statsd_tcp.remote_write.labels import Labels
from statsd_tcp.remote_write.lines import OWN, Lines, own_lines, series_lines
from statsd_tcp.store.frozen import Frozen, Known
from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.web.exposition_layout import Layout, Layouts
from statsd_tcp.web.exposition_rows import Numbers

__all__ = ["REPEATED", "Freezer", "Page", "Slot"]

REPEATED: Final = 120
"""Seconds in which every line is told: PromQL looks back for five minutes."""

_HASH: Final = 8

_Line = tuple[int, str, float]


class Page:
    """The layout of the page, which several outputs share; any thread may use it."""

    def __init__(self, counter_suffix: str) -> None:
        self._layouts = Layouts(counter_suffix)
        self._lock = Lock()

    def layout(self, snapshot: Snapshot) -> Layout:
        """Return which series are where."""
        with self._lock:
            return self._layouts.of(snapshot.tables(), snapshot.owners)

    def conflicts(self) -> dict[str, int]:
        """Return by reason how many series found no place so far."""
        return self._layouts.left_out()


class Slot(NamedTuple):
    """A slot: its end, and the end of the one before it, both in milliseconds since 1970; its number."""

    end: int
    start: int
    number: int


class Freezer:
    """Makes the requests of one output, of slots of ``seconds``. Not for several threads at once.

    ``added`` are labels of all series.
    """

    def __init__(self, page: Page, added: Mapping[str, str], seconds: int) -> None:
        self._page = page
        self._labels = Labels(added)
        self._turns = max(1, REPEATED // seconds)
        self._values: dict[str, float] = {}
        self._starts: dict[str, bytes] = {}
        self._length = 0
        self._layout: Layout | None = None
        self._own: set[str] = set()
        self._is_forgotten = False

    def forget(self) -> None:
        """Send all lines again with the next slot: what was sent is not in the queue."""
        # A slot may be under way in its thread.
        self._is_forgotten = True

    def freeze(
        self, snapshot: Snapshot, families: Iterable[Metric], slot: Slot, known: Known
    ) -> tuple[Known, list[Frozen]]:
        """Return what the output knows after a slot, and its requests."""
        if self._is_forgotten:
            self._is_forgotten = False
            self._values.clear()
        layout = self._page.layout(snapshot)
        own = own_lines(families)
        told = _hashes(known.own)
        changed: list[_Line] = []
        first: list[str] = []
        for lines in chain(own, series_lines(layout, snapshot)):
            some = self._changed(lines.numbers, slot)
            changed += some
            if lines.counts and known.taken:
                first += [head for row, head, _ in some if row > known.newest or _is_new(row, head, told)]
        ended = self._ended(layout, snapshot, own)
        result = self._written(slot, changed, first, ended)
        for head in ended:
            del self._values[head]
            self._starts.pop(head, None)
        self._values.update((head, value) for _, head, value in changed)
        self._layout = layout
        told.update(map(_hash, self._own))
        newest = max(known.newest, _newest(snapshot))
        return known._replace(last=slot.end, newest=newest, own=b"".join(sorted(told))), result

    def _changed(self, numbers: Numbers, slot: Slot) -> list[_Line]:
        """Return the lines that have changed, and those whose turn it is."""
        before = map(self._values.get, numbers.heads)
        number, turns = slot.number, self._turns
        return [
            (row, head, value)
            for row, head, value, old in zip(*numbers, before, strict=True)
            if value != old or (row + number) % turns == 0
        ]

    def _ended(self, layout: Layout, snapshot: Snapshot, own: Iterable[Lines]) -> list[str]:
        """Return the lines that were told and are there no more."""
        heads = {head for lines in own for head in lines.numbers.heads}
        before, self._own = self._own, heads
        if layout is self._layout:
            # No series has come or gone; of the service's own lines some may have.
            return [head for head in before if head not in heads and head in self._values]
        shown = set(heads)
        for lines in series_lines(layout, snapshot):
            # A block at a time, so that other threads have their turns.
            shown.update(lines.numbers.heads)
        return [head for head in self._values if head not in shown]

    def _written(self, slot: Slot, changed: list[_Line], first: list[str], ended: list[str]) -> list[Frozen]:
        # Behind everything that was said at the slot's start.
        start, end = slot.start + 1, slot.end
        opening, closing = Moment(start), Moment(end)
        if closing.length != self._length:
            self._length = closing.length
            self._starts.clear()
        zeros = (opening.sample(self._start(head, opening), 0.0) for head in first)
        marks = (closing.end(self._start(head, closing)) for head in ended)
        values = (closing.sample(self._start(head, closing), value) for _, head, value in changed)
        kinds = ((start, True, zeros), (end, True, marks), (end, False, values))
        return [
            Frozen(time, body.series, edge, body.content) for time, edge, series in kinds for body in bodies(series)
        ]

    def _start(self, head: str, moment: Moment) -> bytes:
        """Return the bytes of a series up to its value, which are the same for all moments."""
        start = self._starts.get(head)
        if start is None:
            start = self._starts[head] = moment.start(self._labels.of_head(head))
        return start


def _hash(head: str) -> bytes:
    return blake2b(head.encode("utf-8", "replace"), digest_size=_HASH).digest()


def _hashes(packed: bytes) -> set[bytes]:
    return {packed[start : start + _HASH] for start in range(0, len(packed), _HASH)}


def _is_new(row: int, head: str, told: Collection[bytes]) -> bool:
    """Return whether a line is one of the service's own that was not told."""
    return row == OWN and _hash(head) not in told


def _newest(snapshot: Snapshot) -> int:
    """Return the highest id of a series."""
    return max((max(table.ids, default=0) for table in snapshot.tables()), default=0)
