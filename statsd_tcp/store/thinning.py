"""Which slots are left out when too many wait for a receiver: every second one of the oldest hour, and so on.

    before   | | | | | | | | | | | |     the oldest hour, then younger ones
    after    |   |   |   |   |   | | |

What a slot had, the repetition of all series brings again within two minutes, and totals are absolute. So the curve
gets coarser where it is oldest, and nothing is missing from it.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Final

__all__ = ["HOUR", "KEPT", "thinned"]

HOUR: Final = 3_600_000
"""Milliseconds."""

KEPT: Final = 120_000
"""The newest milliseconds, of which nothing is left out while there is anything else: they have every series."""


def thinned(requests: Iterable[tuple[int, int]], slots: int, size: int) -> set[int]:
    """Return the times of slots to leave out, to be rid of that many slots and bytes, or more.

    ``requests`` are the times and the bytes of what waits, in order.
    """
    sizes = {time: sum(length for _, length in rows) for time, rows in groupby(requests, key=lambda row: row[0])}
    left = sorted(sizes)
    gone: set[int] = set()
    while left and (slots > 0 or size > 0):
        spare = [time for time in left if time <= left[-1] - KEPT] or left[:-1]
        some = _every_second(spare)
        if not some:
            break
        gone.update(some)
        left = [time for time in left if time not in some]
        slots -= len(some)
        size -= sum(sizes[time] for time in some)
    return gone


def _every_second(times: list[int]) -> set[int]:
    """Return every second slot of the oldest hour that has several, or the oldest if none has."""
    for _, hour in groupby(times, key=lambda time: time // HOUR):
        several = list(hour)
        if len(several) > 1:
            return set(several[1::2])
    return set(times[:1])
