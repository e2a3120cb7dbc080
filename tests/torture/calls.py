"""What a process that counts knows of its calls, in a file that outlives it: how many it made, what became of them."""

from __future__ import annotations

import mmap
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

__all__ = ["CLOSING", "CallBook", "Calls", "CountingPlan", "added_up"]

_NUMBERS = struct.Struct("=4Q")


CLOSING = 90.0
"""Seconds in which everything must be confirmed at the end."""


class CountingPlan(NamedTuple):
    """What one process does. ``book`` is the beginning of the name of its books."""

    port: int
    level: str
    counter: str
    book: str
    forks: bool
    seed: int


class Calls(NamedTuple):
    """How many calls were made, and how many of them are confirmed, in doubt, or dropped by the client."""

    made: int = 0
    confirmed: int = 0
    in_doubt: int = 0
    dropped: int = 0


class CallBook:
    """The book of one process. It is shared memory, so that a kill loses nothing of it."""

    def __init__(self, path: Path) -> None:
        path.write_bytes(bytes(_NUMBERS.size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), _NUMBERS.size)
        self._made = 0

    def make(self, number: int) -> None:
        """Note calls that are about to be made."""
        self._made += number
        struct.pack_into("=Q", self._memory, 0, self._made)

    def note(self, confirmed: int, in_doubt: int, dropped: int) -> None:
        """Note what became of those that were made."""
        struct.pack_into("=3Q", self._memory, 8, confirmed, in_doubt, dropped)


def added_up(paths: Iterable[Path]) -> Calls:
    """Add up the books of some processes. One that was killed as it began its book has made no call."""
    books = [Calls(*_NUMBERS.unpack(data)) for path in paths if (data := path.read_bytes())]
    return Calls(*map(sum, zip(*books, strict=True))) if books else Calls()
