"""All that is known of sources at a moment: since the start, and in the last minute, of all workers together.

A worker's periods begin when they like. So the last minute is made of parts: what is open, and of each period that is
over as much as lies in that minute, as if it had come evenly.
"""

from __future__ import annotations

from collections.abc import Generator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from statsd_tcp.clock import NANOSECONDS
from statsd_tcp.who.layout import PERIOD
from statsd_tcp.who.memory import SourceBoard
from statsd_tcp.who.reading import periods, read_open
from statsd_tcp.who.summary import (
    COLUMNS,
    CONNECTIONS,
    ERR,
    Numbers,
    Summary,
    combined,
    different,
    joined,
    nothing,
    scaled,
)
from statsd_tcp.who.totals import PIECE, Totals

__all__ = ["Entry", "Merged", "Spread", "merge"]

_MINUTE = PERIOD * NANOSECONDS


class Entry(NamedTuple):
    """One source: its address (see `layout`), the index of its listener, its numbers since the start, and per second.

    Both are as `COLUMNS`; ``since`` are whole.
    """

    address: bytes
    listener: int
    since: tuple[int, ...]
    per_second: tuple[float, ...]


class Spread(NamedTuple):
    """How the connections of a listener spread over sources in the last minute.

    ``share`` is that part of them which came from the largest one at least, 0 to 1, and ``largest`` its address.
    ``per_second`` are all of them together.
    """

    sources: int
    share: float
    largest: bytes
    per_second: float


class Merged(NamedTuple):
    """The sums of a moment: since the start, and the rates of the last minute."""

    since: Summary
    recent: Summary

    def top(self, number: int, by: str = "connections", listener: int | None = None) -> list[Entry]:
        """Return the sources that had the most of a column in the last minute, and then since the start.

        ``listener`` is an index: only sources of that listener.
        """
        column = COLUMNS.index(by)
        found = self._first(self.recent, column, number, listener)
        if len(found) < number:
            found = dict.fromkeys([*found, *self._first(self.since, column, number, listener)])
        keys = list(found)[:number]
        since, recent = (self._look_up(one, keys) for one in (self.since, self.recent))
        entries = [
            Entry(_address(key), int(key[3]) - 1, tuple(map(int, all_of)), tuple(map(float, last)))
            for key, all_of, last in zip(keys, since, recent, strict=True)
        ]
        return sorted(entries, key=lambda one: (one.per_second[column], one.since[column]), reverse=True)

    def spreads(self) -> dict[int, Spread]:
        """Return how each listener's connections are spread, by its index. One without any is not there."""
        recent, found = self.recent, {}
        counts, errs = recent.values[:, :, CONNECTIONS], recent.values[:, :, ERR]
        for number in different(recent.listeners[recent.listeners != 0]).tolist():
            mine = (recent.listeners == number) & (counts > 0)
            total = float(counts[mine].sum())
            if total > 0:
                sure = np.where(mine, counts - errs, -1.0)
                row, way = np.unravel_index(sure.argmax(), sure.shape)
                key = (0, recent.high[row, way], recent.low[row, way], number)
                share = float(sure[row, way]) / total
                found[number - 1] = Spread(int(mine.sum()), share, _address(key), total)
        return found

    def _first(self, one: Summary, column: int, number: int, listener: int | None) -> dict[_Key, None]:
        wanted = one.listeners != 0 if listener is None else one.listeners == listener + 1
        values = np.where(wanted, one.values[:, :, column], -1).ravel()
        number = min(number, int((values > 0).sum()))
        best = np.argpartition(-values, number - 1)[:number] if number else np.zeros(0, np.int64)
        best = best[np.argsort(-values[best], kind="stable")]
        rows, ways = np.unravel_index(best, one.listeners.shape)
        columns = (one.sets[rows], one.high[rows, ways], one.low[rows, ways], one.listeners[rows, ways])
        return dict.fromkeys(zip(*(column.tolist() for column in columns), strict=True))

    def _look_up(self, one: Summary, keys: list[_Key]) -> Numbers:
        """Return the numbers of sources; of one that is not there what it may have had."""
        found = np.zeros((len(keys), len(COLUMNS)), one.values.dtype)
        for place, (number, high, low, listener) in enumerate(keys):
            row = int(np.searchsorted(one.sets, number))
            if row == len(one.sets) or one.sets[row] != number:
                continue
            same = (one.high[row] == high) & (one.low[row] == low) & (one.listeners[row] == listener)
            if same.any():
                found[place] = one.values[row, same.argmax()]
            else:
                found[place, [CONNECTIONS, ERR]] = one.least[row]
        return found


_Key = tuple[int, int, int, int]
"""The set, both halves of the address, and the listener's index + 1."""


def merge(totals: Totals, board: SourceBoard, now: int, since: int) -> Generator[None, None, Merged]:
    """Add up what is known at ``now``, and yield after each piece.

    ``since`` is when counting began, in nanoseconds as ``now``.
    """
    living = [(memory, periods(memory)) for memory in board.living]
    finished = [(one, _part_of_minute(one.began, one.ended, now)) for one in totals.finished]
    seconds = min(PERIOD, max(1.0, (now - since) / NANOSECONDS))
    of_start, of_minute = joined(totals.parts), nothing(np.float64)
    for memory, at in living:
        parts = []
        for part in read_open(memory, at.open, PIECE):
            parts.append(part)
            yield
        whole = joined(parts)
        of_start = yield from _combined(of_start, whole)
        of_minute = yield from _combined(of_minute, scaled(whole, _part_of_minute(at.began, now, now) / seconds))
    for one, share in finished:
        of_minute = yield from _combined(of_minute, scaled(joined(one.parts), share / seconds))
    return Merged(of_start, of_minute)


def _combined(one: Summary, other: Summary) -> Generator[None, None, Summary]:
    """Combine two summaries, and yield after each piece: few sets are one piece, however far apart they are."""
    cuts = different(np.concatenate([one.sets, other.sets]))[PIECE::PIECE]
    parts = []
    for a, b in zip(_cut(one, cuts), _cut(other, cuts), strict=True):
        parts.append(combined(a, b))
        yield
    return joined(parts) if len(parts) > 1 else parts[0]


def _cut(one: Summary, cuts: Numbers) -> list[Summary]:
    """Divide a summary before each of these sets."""
    places = [0, *np.searchsorted(one.sets, cuts).tolist(), len(one.sets)]
    return [Summary(*(column[start:end] for column in one)) for start, end in pairwise(places)]


def _part_of_minute(began: int, ended: int, now: int) -> float:
    """Return which part of a period lies in the minute before ``now``."""
    inside = ended - max(began, now - _MINUTE)
    if ended <= began:
        return float(inside >= 0)
    return max(0.0, min(1.0, inside / (ended - began)))


def _address(key: tuple[int, int, int, int]) -> bytes:
    return np.array(key[1:3], np.uint64).tobytes()
