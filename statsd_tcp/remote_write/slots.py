"""When a slot of an output ends, by a wall clock that may be set.

A slot ends at a multiple of its length. Its end is later than the last one that the output had, whatever the clock was
set to: a receiver refuses what is not.
"""

from __future__ import annotations

from statsd_tcp.remote_write.freezing import Slot

__all__ = ["ended"]


def ended(now: float, seconds: int, last: int) -> Slot | None:
    """Return the slot that has ended at a moment of the wall clock, None while it is open.

    ``last`` is the end of the last one in milliseconds, 0 if there was none.
    """
    number = int(now // seconds)
    end = number * seconds * 1000
    if end <= last:
        return None
    return Slot(end, max(end - seconds * 1000, last), number)
