"""How much all unfinished lines of a process may take together, and which of them go when it is too much.

Each of them is bounded too, but connections are many. Only a connection that keeps an unfinished line, or lets it grow,
comes here.
"""

from __future__ import annotations

from typing import Final, Protocol

__all__ = ["MOST_BYTES", "Tail", "Tails"]

MOST_BYTES: Final = 64 << 20
"""Bytes that may wait for their newline: 8,192 connections with unfinished lines of the longest kind."""

_ROOM: Final = 8
"""One part in this many is freed at once. Finding the longest means looking at all, 15 ms for 20,000; that much has to
arrive before it is done again."""


class Tail(Protocol):
    """An unfinished line; its length is in bytes."""

    def __len__(self) -> int:
        """Return how much of it there is."""

    def drop(self) -> None:
        """Forget what there is, call `Tails.shrink`, and count the line as one that was too long."""


class Tails:
    """The unfinished lines of a process, of which there may be ``most`` bytes together."""

    __slots__ = ("_kept", "_most", "size")

    def __init__(self, most: int = MOST_BYTES) -> None:
        self._most = most
        self._kept: set[Tail] = set()
        self.size = 0

    def grow(self, tail: Tail, more: int) -> None:
        """Note that an unfinished line is so much longer. It may be dropped here."""
        self._kept.add(tail)
        self.size += more
        if self.size > self._most:
            self._make_room()

    def shrink(self, tail: Tail, less: int) -> None:
        """Note that there is nothing left of one that had so much."""
        self._kept.discard(tail)
        self.size -= less

    def _make_room(self) -> None:
        """Drop the longest: a client that has sent half a line of usual length keeps it."""
        for tail in sorted(self._kept, key=len, reverse=True):
            if self.size <= self._most - self._most // _ROOM:
                break
            tail.drop()
