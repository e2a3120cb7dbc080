"""What an output is told at the end of a slot: the lines that have changed, as requests that are ready to be sent.

    first samples    0 of each new line that counts, at the slot's start: so a rise from nothing is one
    ends             the mark that a series ends, of lines that are on the page no more
    last samples     of nodes that leave, next to our values of the same lines: see the module farewell
    values           of lines that have changed, and of every line at least each two minutes

A line is new if its series came after the output was told of the series before it, and after a receiver has taken
anything from the output: what was there before begins with its total. The service's own lines have no ids: those that
were told are kept as they are. So one that is gone after a restart ends as well.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, compress
from threading import Lock
from typing import Final, NamedTuple

from prometheus_client.core import Metric

from statsd_tcp.remote_write.encoding import Moment, bodies, bodies_of_groups
from statsd_tcp.remote_write.farewell import advanced, held_back, last_samples, marks, remaining, with_last_samples
from statsd_tcp.remote_write.labels import Labels
from statsd_tcp.remote_write.lines import OWN, Lines, own_lines, series_lines
from statsd_tcp.store.frozen import COUNTS, ENDED, LEVEL, Frozen, Known
from statsd_tcp.store.leaving import Leaving
from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.web.exposition_layout import Layout, Layouts
from statsd_tcp.web.exposition_rows import Numbers

__all__ = ["REPEATED", "Freezer", "Page", "Slot"]

REPEATED: Final = 120
"""Seconds in which every line is told: PromQL looks back for five minutes."""

_BREAK: Final = 0.0001
"""Seconds of a break after each thousand lines, which take one or two milliseconds."""

_PIECE: Final = 10_000
"""Numbers that are looked at in one go."""


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
        changed: list[Numbers] = []
        first: list[str] = []
        leaving = advanced(known.leaving, slot.end, known.taken)
        held, again = held_back(leaving), with_last_samples(leaving, slot.end)
        # Those that tell stores apart come first: see the module search.
        for lines in chain(reversed(own), series_lines(layout, snapshot)):
            some = self._changed(lines.numbers, slot, again)
            changed.append(_without(some, held) if held else some)
            _give_way()
            if lines.counts and known.taken:
                heads = zip(some.rows, some.heads, strict=True)
                first += [head for row, head in heads if row > known.newest or (row == OWN and head not in known.own)]
        states = _states(own, known)
        ended = self._ended(layout, snapshot, known, states)
        result = self._written(slot, changed, first, ended, leaving)
        for head in ended:
            self._values.pop(head, None)
            self._starts.pop(head, None)
        for some in changed:
            self._values.update(zip(some.heads, some.values, strict=True))
        self._layout = layout
        newest = max(known.newest, _newest(snapshot))
        return known._replace(last=slot.end, newest=newest, own=states, leaving=remaining(leaving)), result

    def _changed(self, numbers: Numbers, slot: Slot, again: set[str]) -> Numbers:
        """Return the lines that have changed, those whose turn it is, and some that are told again."""
        before = map(self._values.get, numbers.heads)
        number, turns = slot.number, self._turns
        each = zip(numbers.rows, numbers.values, before, strict=True)
        which = [value != old or (row + number) % turns == 0 for row, value, old in each]
        if again:
            which = [told or head in again for told, head in zip(which, numbers.heads, strict=True)]
        # In columns: a tuple for each line has the garbage collector go through all that the process has.
        rows, heads, values = numbers
        return Numbers(list(compress(rows, which)), list(compress(heads, which)), list(compress(values, which)))

    def _ended(self, layout: Layout, snapshot: Snapshot, known: Known, states: Mapping[str, str]) -> list[str]:
        """Return the lines that were told and are there no more."""
        gone = [head for head, state in known.own.items() if state != ENDED and states.get(head, ENDED) == ENDED]
        if layout is self._layout:
            # No series has come or gone.
            return gone
        shown = set(known.own) | set(states)
        for lines in series_lines(layout, snapshot):
            # A block at a time, so that other threads have their turns.
            shown.update(lines.numbers.heads)
        return gone + [head for head in self._values if head not in shown]

    def _written(
        self, slot: Slot, changed: list[Numbers], first: list[str], ended: list[str], leaving: Sequence[Leaving]
    ) -> list[Frozen]:
        # Behind everything that was said at the slot's start.
        start, end = slot.start + 1, slot.end
        opening, closing = Moment(start), Moment(end)
        if closing.length != self._length:
            self._length = closing.length
            self._starts.clear()
        zeros = (opening.sample(self._start(head, opening), 0.0) for head in first)
        ends = chain((closing.end(self._start(head, closing)) for head in ended), marks(leaving, end, closing))
        ours = {head: value for some in changed for head, value in _pairs(some)} if leaving else {}
        last = last_samples(leaving, end, closing, ours, lambda head: self._sample(head, ours[head], closing))
        if last.paired:
            changed = [_without(some, last.paired) for some in changed]
        values = (self._sample(head, value, closing) for some in _with_breaks(changed) for head, value in _pairs(some))
        kinds = (
            (start, True, bodies(zeros)),
            (end, True, bodies(ends)),
            (end, True, bodies_of_groups(last.due)),
            (end, False, bodies_of_groups(last.beside)),
            (end, False, bodies(values)),
        )
        return [Frozen(time, body.series, edge, body.content) for time, edge, found in kinds for body in found]

    def _sample(self, head: str, value: float, moment: Moment) -> bytes:
        return moment.sample(self._start(head, moment), value)

    def _start(self, head: str, moment: Moment) -> bytes:
        """Return the bytes of a series up to its value, which are the same for all moments."""
        start = self._starts.get(head)
        if start is None:
            start = self._starts[head] = moment.start(self._labels.of_head(head))
        return start


def _pairs(numbers: Numbers) -> Iterable[tuple[str, float]]:
    return zip(numbers.heads, numbers.values, strict=True)


def _without(numbers: Numbers, heads: set[str]) -> Numbers:
    """Return lines without some of them."""
    which = [head not in heads for head in numbers.heads]
    rows, names, values = numbers
    return Numbers(list(compress(rows, which)), list(compress(names, which)), list(compress(values, which)))


def _states(own: Iterable[Lines], known: Known) -> dict[str, str]:
    """Return the service's own lines that were told, after a slot, with their states."""
    states = {head: ENDED for head, state in known.own.items() if state != LEVEL}
    for lines in own:
        states.update(dict.fromkeys(lines.numbers.heads, COUNTS if lines.counts else LEVEL))
    return states


def _with_breaks(blocks: Iterable[Numbers]) -> Iterator[Numbers]:
    for block in blocks:
        _give_way()
        yield block


def _give_way() -> None:
    """Let other threads have the interpreter: a turn of the reactor needs it several times, and waits 5 ms for each."""
    time.sleep(_BREAK)


def _newest(snapshot: Snapshot) -> int:
    """Return the highest id of a series."""
    newest = 0
    for table in snapshot.tables():
        for start in range(0, len(table.ids), _PIECE):
            # A piece at a time, so that other threads have their turns.
            newest = max(newest, max(table.ids[start : start + _PIECE]))
    return newest
