"""Numbers found by texts that are not kept: in some 20 bytes each, where a dictionary would take 150."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

__all__ = ["Hashes"]

_BUCKETS = 1 << 14
"""With a million entries each has some sixty, which are searched in C."""


class Hashes:
    """Numbers by the hashes of texts. Two texts can have one hash: who asks must compare what the number stands for."""

    def __init__(self) -> None:
        self._buckets: dict[int, tuple[array[int], array[int]]] = {}

    def get(self, text: str) -> Sequence[int]:
        """Return the numbers of all texts that have the hash of this one."""
        key = hash(text)
        bucket = self._buckets.get(key % _BUCKETS)
        if bucket is None or key not in bucket[0]:
            return ()
        keys, numbers = bucket
        if keys.count(key) == 1:
            return (numbers[keys.index(key)],)
        return [number for each, number in zip(keys, numbers, strict=True) if each == key]

    def add(self, text: str, number: int) -> None:
        """Enter the number of a text."""
        key = hash(text)
        bucket = self._buckets.get(key % _BUCKETS)
        if bucket is None:
            bucket = self._buckets[key % _BUCKETS] = array("q"), array("q")
        bucket[0].append(key)
        bucket[1].append(number)

    def discard(self, text: str, number: int) -> None:
        """Forget the number of a text, if it was entered."""
        bucket = self._buckets.get(hash(text) % _BUCKETS)
        if bucket is not None and number in bucket[1]:
            place = bucket[1].index(number)
            for column in bucket:
                column[place] = column[-1]
                column.pop()
