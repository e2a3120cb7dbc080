"""What the clients know: for every connection when it was, what it sent, and how it ended."""

from __future__ import annotations

import struct
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal, NamedTuple, get_args

__all__ = ["BARE", "KINDS", "LINE_KINDS", "SILENT", "Book", "Death", "Deaths", "Kind", "Visit", "certain_lines", "read"]

Kind = Literal["bare", "at_once", "late", "kept", "silent"]
"""A connection that sends nothing and waits for its end; one that sends its line at once; one that does so a little
later; one that sends a line every now and then for seconds; one that takes a place where lines are expected, and sends
none. The names of the middle three are those of the counters that they send."""

BARE: Kind = "bare"
SILENT: Kind = "silent"
LINE_KINDS: tuple[Kind, ...] = ("at_once", "late", "kept")
KINDS: tuple[Kind, ...] = get_args(Kind)

NOTICED = 2.0
"""Seconds after which the end of a client has surely nothing to do with a death that was before."""

NOTICED_LATE = 10.0
"""The same for a bad end: a busy machine may let the clients stand still, who notice it when they go on."""

_TELLING = 2

UNREAD = 2.0
"""Seconds after which a worker has surely read what a client has sent, unless it is stopped."""

_ENTRY = struct.Struct("=BBBBdd")


class Visit(NamedTuple):
    """One connection. Times are monotonic, ``sent`` has one for each line; ``error`` is empty after a good end.

    ``let_go``: the other end closed it, in good order, before this one had come to its end.
    """

    kind: Kind
    began: float
    ended: float
    connected: bool
    error: str
    sent: Sequence[float]
    let_go: bool = False


class Book:
    """All visits of one process, written to a file as they end: there are millions of them."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb")

    def add(self, visit: Visit) -> None:
        """Note one that has ended."""
        error = visit.error.encode()
        flags = visit.connected + 2 * visit.let_go
        head = _ENTRY.pack(KINDS.index(visit.kind), flags, len(error), len(visit.sent), visit.began, visit.ended)
        self._file.write(head + error + array("d", visit.sent).tobytes())

    def close(self) -> None:
        """Write what is not written yet."""
        self._file.close()


def read(path: Path) -> Iterator[Visit]:
    """Read the visits of a book that is closed."""
    with path.open("rb") as file:
        while head := file.read(_ENTRY.size):
            kind, flags, length, lines, began, ended = _ENTRY.unpack(head)
            error = file.read(length).decode()
            sent = array("d", file.read(8 * lines))
            yield Visit(KINDS[kind], began, ended, bool(flags & 1), error, sent, bool(flags & 2))


class Death(NamedTuple):
    """Something that may cost connections.

    ``began`` is the last moment at which all was well. ``ended`` is the first at which it is again: a worker is gone
    and its sockets closed; a supervisor's successor is ready. ``whole``: the supervisor's, and so everybody's.
    """

    what: str
    began: float
    ended: float
    whole: bool = False

    def touches(self, visit: Visit) -> bool:
        """Return whether this may have cost that connection."""
        if visit.began > self.ended or visit.ended < self.began:
            return False
        if self.whole:
            return True
        # Who was served to the end later than that was not with the worker that died; nor was who went on sending: the
        # first line to a dead worker brings a reset, and the next one an error.
        went_on = not visit.error and sum(1 for when in visit.sent if when > self.ended) > _TELLING
        return visit.ended <= self.ended + (NOTICED_LATE if visit.error else NOTICED) and not went_on


class Deaths:
    """All deaths of a run, to be asked about each of very many visits."""

    def __init__(self, deaths: Sequence[Death]) -> None:
        self._deaths = sorted(deaths, key=lambda death: death.began)
        self._begins = [death.began for death in self._deaths]
        self._longest = max((death.ended - death.began for death in deaths), default=0.0)
        self.workers = sum(1 for death in deaths if not death.whole)
        self.all = len(deaths)

    def touching(self, visit: Visit) -> list[Death]:
        """Return those that may have cost a connection, in the order in which they began."""
        first = bisect_left(self._begins, visit.began - self._longest)
        last = bisect_right(self._begins, visit.ended)
        return [death for death in self._deaths[first:last] if death.touches(visit)]


def certain_lines(visit: Visit, touching: Sequence[Death]) -> int:
    """Return how many of a visit's lines must be counted, whatever was open when a process died.

    Of a connection that a death may have cost, the lines that were sent well before it were read and in the journal.
    """
    if not touching:
        return len(visit.sent)
    return sum(1 for when in visit.sent if when < touching[0].began - UNREAD)
