"""The members of sets in a flush: counted exactly as long as they are few, estimated from then on.

What all sets take together is bounded: when many sets have many members, the further ones are less exact.

A member is known by Python's own hash of its text: 64 bits, keyed with a secret that the process makes as it starts.
All sets of a flush are in one process, which is also the one that adds up what workers and the readers of journals
send; another one that goes on with the flush adds it up again from its parts. So no other process needs the key, and no
client can choose what its members look like. Of 10,000 members two are taken for one with a probability of 3e-12.

The estimate is a HyperLogLog with Ertl's estimator (Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog
sketches", arXiv:1702.01284), which needs no tables of corrections: the most leading zeros among the hashes that fall
into each of 2**14 registers say how many different ones there were. An estimate of fewer registers is made of one
of more by putting those together whose numbers end in the same bits.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

__all__ = ["ERROR", "EXACT_IN_ALL", "EXACT_MEMBERS", "FEW_MEMBERS", "Members", "Sets"]

EXACT_MEMBERS: Final = 10_000
"""Members of a set that are counted exactly in a flush: 0.9 MB of memory."""

EXACT_IN_ALL: Final = 1_000_000
"""When all sets together have more members than this, each may only have `FEW_MEMBERS`."""

FEW_MEMBERS: Final = 200
"""With as many members a set takes as much memory as its estimate would."""

FEWEST_IN_ALL: Final = 2_000_000
"""When all sets together have more members than this, 180 MB, each may only have `FEWEST_MEMBERS`."""

FEWEST_MEMBERS: Final = 4
"""Python's sets take no more memory for as many than for one."""

_INDEX_BITS: Final = 14
_REGISTERS: Final = 1 << _INDEX_BITS
_REST_BITS: Final = sys.hash_info.width - _INDEX_BITS
_REST: Final = (1 << _REST_BITS) - 1

ERROR: Final = 1.04 / math.sqrt(_REGISTERS)
"""The standard deviation of an estimate, as a part of it: 0.8 %."""

SIZES: Final[Mapping[int, float]] = {_REGISTERS: 4_096, 1 << 10: 65_536, 1 << 6: math.inf}
"""How many estimates of a flush may have how many registers, of a byte each: 128 MiB in all, and half a kilobyte for
each further one. Their standard deviations are 0.8 %, 3.3 % and 13 %."""


class Members:
    """The members of one set; its length is how many different ones there are, or about how many."""

    __slots__ = ("_hashes", "_registers")

    def __init__(self, members: Iterable[str] = ()) -> None:
        self._hashes = set(map(hash, members))
        self._registers: bytearray | None = None

    @property
    def exact(self) -> bool:
        """Return whether they are counted and not estimated."""
        return self._registers is None

    @property
    def held(self) -> int:
        """Return how many are in memory one by one."""
        return len(self._hashes)

    @property
    def registers(self) -> int:
        """Return how many registers the estimate has, 0 while there is none."""
        return 0 if self._registers is None else len(self._registers)

    def add(self, members: Iterable[str]) -> None:
        """Add members."""
        self._add(map(hash, members))

    def merge(self, other: Members) -> None:
        """Add the members of another set, which stays as it is."""
        if other._registers is not None:
            self.coarsen(len(other._registers))
        self._add(other._hashes)
        if self._registers is not None and other._registers is not None:
            self._registers[:] = map(max, self._registers, _folded(other._registers, len(self._registers)))

    def coarsen(self, registers: int = _REGISTERS) -> None:
        """Only estimate them from now on, with no more registers than these."""
        if self._registers is None:
            self._registers = bytearray(registers)
            hashes, self._hashes = self._hashes, set()
            self._add(hashes)
        elif len(self._registers) > registers:
            self._registers = _folded(self._registers, registers)

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self._hashes) if self._registers is None else round(_estimated(self._registers))

    def _add(self, hashes: Iterable[int]) -> None:
        registers = self._registers
        if registers is None:
            self._hashes.update(hashes)
            return
        last = len(registers) - 1
        for each in hashes:
            # As many bits as are left may all be zeros: then the rank is one more than they are.
            rank = _REST_BITS + 1 - (each >> _INDEX_BITS & _REST).bit_length()
            index = each & last
            registers[index] = max(registers[index], rank)


class Sets:
    """The sets of a flush by their identity, with the limits for each and for all.

    ``approximated`` counts those that had too many members to be counted exactly.
    """

    def __init__(self) -> None:
        self.members: dict[str, Members] = {}
        self.approximated = 0
        self._held = 0
        self._estimates = Counter[int]()

    def add(self, news: Mapping[str, Iterable[str] | Members]) -> None:
        """Add members, or whole sets, to the sets with these identities."""
        for identity, more in news.items():
            members = self.members.get(identity)
            if members is None:
                members = self.members[identity] = Members()
            self._put(members, more)

    def counts(self) -> dict[str, int]:
        """Return how many members each has."""
        return {identity: len(members) for identity, members in self.members.items()}

    def _put(self, members: Members, more: Iterable[str] | Members) -> None:
        before, registers = members.held, members.registers
        if isinstance(more, Members):
            members.merge(more)
        else:
            members.add(more)
        if members.held > self._most():
            members.coarsen(next(size for size, most in SIZES.items() if self._estimates[size] < most))
        self._held += members.held - before
        if members.registers != registers:
            self._estimates[registers] -= 1
            self._estimates[members.registers] += 1
            self.approximated += 1

    def _most(self) -> int:
        """Return how many members a set may have at present."""
        if self._held < EXACT_IN_ALL:
            return EXACT_MEMBERS
        return FEW_MEMBERS if self._held < FEWEST_IN_ALL else FEWEST_MEMBERS


def _folded(registers: bytearray, size: int) -> bytearray:
    """Return fewer registers, or as many: the greatest rank of those that become one."""
    return registers if len(registers) == size else bytearray(max(registers[at::size]) for at in range(size))


def _estimated(registers: bytearray) -> float:
    """Return Ertl's estimate (his section 4) from how many registers have each rank."""
    size = len(registers)
    ranks = [registers.count(rank) / size for rank in range(_REST_BITS + 2)]
    found = _tau(1 - ranks[-1])
    for rank in range(_REST_BITS, 0, -1):
        found = (found + ranks[rank]) / 2
    found += _sigma(ranks[0])
    return size / (2 * math.log(2) * found)


def _sigma(part: float) -> float:
    """Return what the registers without a rank add, ``part`` of all."""
    if part == 1:
        return math.inf
    found, before, factor = part, -1.0, 1.0
    while found != before:
        part *= part
        before, found = found, found + part * factor
        factor *= 2
    return found


def _tau(part: float) -> float:
    """Return what the registers with the highest rank add; ``part`` of all have a lower one."""
    if part in {0.0, 1.0}:
        return 0.0
    found, before, factor = 1 - part, -1.0, 1.0
    while found != before:
        part = math.sqrt(part)
        factor /= 2
        before, found = found, found - (1 - part) ** 2 * factor
    return found / 3
