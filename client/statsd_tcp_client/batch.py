"""Batches, and the lines that wait to be cut into some. Pure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass

from statsd_tcp_client.series import Piece, Series

__all__ = ["Batch", "Outbox"]


@dataclass
class Batch:
    """Lines that are confirmed together."""

    seq: int
    data: bytes
    lines: int
    made: int
    """The number of calls that they stand for."""
    lot: int
    """Which taking of the numbers they are from, the latest of them."""
    born: float
    """When it was cut."""
    pieces: tuple[Piece, ...]
    """What it was cut from, to be put back if nothing of it was sent."""
    attempts: int = 1
    taken: bool = False
    """The kernel took all of it, once at least."""


class Outbox:
    """Lines that were taken out of the numbers and are in no batch yet, in their order.

    Gauges have an order that must be kept, so only one lane of a pool takes those.
    """

    def __init__(self) -> None:
        self._free: deque[tuple[int, Piece]] = deque()
        self._ordered: deque[tuple[int, Piece]] = deque()
        self.bytes = 0
        self.made = 0

    def __bool__(self) -> bool:
        return bool(self._free or self._ordered)

    def add(self, lot: int, series: Iterable[Series]) -> None:
        """Put the lines of some series at the end."""
        for each in series:
            for piece in each.pieces():
                self.append(lot, piece)

    def append(self, lot: int, piece: Piece) -> None:
        """Put lines at the end."""
        (self._ordered if piece.ordered else self._free).append((lot, piece))
        self._count(piece, 1)

    def put_back(self, lot: int, pieces: Iterable[Piece]) -> None:
        """Put lines of which nothing was sent to the front again."""
        for piece in reversed(tuple(pieces)):
            (self._ordered if piece.ordered else self._free).appendleft((lot, piece))
            self._count(piece, 1)

    def has(self, *, ordered: bool) -> bool:
        """Return whether there are lines for a lane that takes those with an order, or that does not."""
        return bool(self._free or (ordered and self._ordered))

    def take(self, most: int, *, ordered: bool) -> tuple[int, list[Piece]]:
        """Take lines of at most this many bytes; return the latest lot among them, and the pieces."""
        lot, size = 0, 0
        taken: list[Piece] = []
        for queue in (self._ordered, self._free) if ordered else (self._free,):
            while queue and size + len(queue[0][1].data) <= most:
                number, piece = queue.popleft()
                lot = max(lot, number)
                size += len(piece.data)
                taken.append(piece)
                self._count(piece, -1)
        return lot, taken

    def clear(self) -> int:
        """Forget everything, and return the number of calls that this was."""
        made = self.made
        self.__init__()  # type: ignore[misc]
        return made

    def lots(self) -> int:
        """Return the earliest lot of which something is here; 0: nothing is."""
        return min((queue[0][0] for queue in (self._free, self._ordered) if queue), default=0)

    def _count(self, piece: Piece, sign: int) -> None:
        self.bytes += sign * len(piece.data)
        self.made += sign * piece.made
