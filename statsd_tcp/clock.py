"""The clock of a reactor's timers: CLOCK_MONOTONIC, which cannot be set.

Twisted's reactors go by the wall clock. When that is set back by an hour, no timer is due for an hour; when it is set
ahead, all of them are due at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

__all__ = ["NANOSECONDS", "use_monotonic"]

NANOSECONDS = 1_000_000_000
"""In a second. Processes compare times with each other in nanoseconds of that clock."""


def use_monotonic(
    reactor: Any, wall: Callable[[], float] = time.time, monotonic: Callable[[], float] = time.monotonic
) -> None:
    """Set the timers of ``reactor``, and of no other reactor, to ``monotonic``. Both clocks return seconds.

    What `seconds` gives still reads as seconds since 1970, as far as ``wall`` was right at this moment: calls that were
    made before, by twistd or by another plugin, keep their time. Once is enough; a second time changes nothing.
    """
    # `callLater`, `timeout` and `runUntilCurrent` of all of Twisted's reactors ask the instance.
    if "seconds" not in vars(reactor):
        offset = wall() - monotonic()
        reactor.seconds = lambda: monotonic() + offset
