"""What the clients know: for every connection when it was, what it sent, and how it ended."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

__all__ = ["BARE", "KINDS", "LINE_KINDS", "Books", "Death", "Kind", "Visit"]

Kind = Literal["bare", "at_once", "late", "kept"]
"""A connection that sends nothing; one that sends its line at once; one that does so a little later; one that sends a
line every now and then for seconds. The names of the last three are those of the counters that they send."""

BARE: Kind = "bare"
LINE_KINDS: tuple[Kind, ...] = ("at_once", "late", "kept")
KINDS: tuple[Kind, ...] = (BARE, *LINE_KINDS)

NOTICED = 2.0
"""Seconds after which a client has surely noticed that the process at the other end is dead."""

_TELLING = 2

UNREAD = 2.0
"""Seconds after which a worker has surely read what a client has sent, unless somebody holds it."""


class Visit(NamedTuple):
    """One connection. Times are monotonic, ``sent`` has one for each line; ``error`` is empty after a good end."""

    kind: Kind
    began: float
    ended: float
    connected: bool
    error: str
    sent: Sequence[float]


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
        """Tell whether this may have cost that connection."""
        if visit.began > self.ended or visit.ended < self.began:
            return False
        if self.whole:
            return True
        # Who was served to the end later than that was not with the worker that died; nor was who went on sending: the
        # first line to a dead worker brings a reset, and the next one an error.
        went_on = not visit.error and sum(1 for when in visit.sent if when > self.ended) > _TELLING
        return visit.ended <= self.ended + NOTICED and not went_on


class Books:
    """All visits, written by many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.visits: list[Visit] = []

    def add(self, visit: Visit) -> None:
        """Note one that has ended."""
        with self._lock:
            self.visits.append(visit)

    def of(self, kind: Kind) -> list[Visit]:
        """Give those of a kind."""
        return [visit for visit in self.visits if visit.kind == kind]


def certain_lines(visit: Visit, deaths: Iterable[Death]) -> int:
    """Give how many of a visit's lines must be counted, whatever was open when somebody died.

    Of a connection that a death may have cost, the lines that were sent well before it were read and in the journal.
    """
    touching = [death.began for death in deaths if death.touches(visit)]
    if not touching:
        return len(visit.sent)
    return sum(1 for when in visit.sent if when < min(touching) - UNREAD)
