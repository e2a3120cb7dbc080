"""Counters by number: a worker says the name of one once, and its number from then on.

A session is what a worker and the supervisor agree on: a list of names, each known by its place in it. It grows with
every message, and is given up as a whole:

    numbers of names      0 1 2 3 4 | 5 6 | 7 8 9
    said in message       1         | 2   | 4             3 had no new name: first = 7, names = []

A message says where its new names begin. So a receiver that missed a message with names notices it, and asks for
another session.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping
from itertools import count, filterfalse
from math import isfinite
from typing import Final

import msgspec

from statsd_tcp.aggregate.values import NUMBER_BYTES, little_endian, packed

__all__ = ["PLACE_BYTES", "Numbered", "SaidNames"]

PLACE_BYTES: Final = 4
"""Bytes of the number of a name: a whole number of 32 bits, little-endian."""

_MOST: Final = 1 << 19
"""The most names of a session, unless one message has more: about 50 MiB in the worker."""

_MANY: Final = 1 << 16
_UNUSED: Final = 4
"""A session of more than `_MANY` names, and more than `_UNUSED` times as many as are used, is given up: a flood of
names that come once must not be kept."""

_LATELY: Final = 64
"""What is used is the most that a message had lately, which fades by this part with each: one that was sent early has
less than those around it."""

_TOKEN_BITS: Final = 32


class Numbered(msgspec.Struct, array_like=True, frozen=True):
    """What counters of a session went up by; ``session`` is 0 where nothing has a number.

    ``names`` are said for the first time, and have the numbers from ``first`` on. ``numbers`` and ``rises`` are packed,
    and belong together one by one; a number is in it once at most.
    """

    session: int = 0
    first: int = 0
    names: list[str] = []
    numbers: bytes = b""
    rises: bytes = b""

    def check(self) -> None:
        """Raise `ValueError` for what no worker says."""
        size = len(self.rises) // NUMBER_BYTES
        if len(self.rises) % NUMBER_BYTES or len(self.numbers) != size * PLACE_BYTES:
            raise ValueError(f"{len(self.numbers)} bytes of numbers for {len(self.rises)} bytes of rises")
        if self.session < 0 or self.first < 0 or (not self.session and (self.first or self.names or size)):
            raise ValueError("numbers of no session")
        rises = array("d", self.rises)
        if sys.byteorder == "big":
            rises.byteswap()
        # The sum is finite if all are, and takes a fifth of the time, unless it is too large itself.
        if not isfinite(sum(rises)) and not all(map(isfinite, rises)):
            raise ValueError("a counter went up by what is no number")


class SaidNames:
    """The session of a worker: the names that it has said, each with its number."""

    def __init__(self, most: int = _MOST) -> None:
        """``most``: a session has no more names than that, or those of one message."""
        self._most = most
        self._token = 0
        self._sessions = 0
        self._numbers: dict[str, int] = {}
        self._used = 0

    def begin(self, asked: int) -> None:
        """Start another session if another one is requested: ``asked`` is a token of 32 bits, not 0."""
        if asked != self._token:
            self._token, self._sessions = asked, 0
            self._numbers = {}

    def numbered(self, counters: Mapping[str, float]) -> Numbered:
        """Return the counters by number, with the names that have not been said."""
        if not counters:
            return Numbered()
        self._weigh(len(counters))
        names: list[str] = []
        try:
            numbers = self._find(counters)
        except KeyError:
            names = self._name(counters)
            numbers = self._find(counters)
        return Numbered(
            self._token << _TOKEN_BITS | self._sessions,
            len(self._numbers) - len(names),
            names,
            little_endian(numbers),
            packed(list(counters.values())),
        )

    def _find(self, counters: Mapping[str, float]) -> array[int]:
        """Return the numbers of names; raise `KeyError` if one has none."""
        return array("I", list(map(self._numbers.__getitem__, counters)))

    def _weigh(self, size: int) -> None:
        """Give up a session that is much larger than it needs to be for messages of this size."""
        self._used = max(size, self._used - self._used // _LATELY - 1)
        if len(self._numbers) > min(self._most, max(_MANY, _UNUSED * self._used)):
            self._begin_anew()

    def _name(self, counters: Mapping[str, float]) -> list[str]:
        """Assign the next numbers to the names that have none, and return these names."""
        names = list(filterfalse(self._numbers.__contains__, counters))
        if len(self._numbers) + len(names) > self._most and self._numbers:
            self._begin_anew()
            names = list(counters)
        self._numbers.update(zip(names, count(len(self._numbers)), strict=False))
        return names

    def _begin_anew(self) -> None:
        self._sessions += 1
        self._numbers = {}
