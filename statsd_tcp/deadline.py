"""The end of a stop that does not end: the process goes, whatever hangs in it.

Everything that a stop waits for has a limit of its own, but those are timers of the reactor. They do not help where the
reactor's thread itself waits for a disk, nor against what the process waits for after the reactor: threads of its pool
that ask for a host's address, or the store's when the interpreter cleans up. So this thread waits for nothing else.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from threading import Thread

__all__ = ["SAY_SECONDS", "begin_deadline"]

SAY_SECONDS = 0.5
"""Seconds that saying why may take: the log may lie on the disk that hangs."""


def begin_deadline(seconds: float, say: Callable[[], object], end: Callable[[int], object] = os._exit) -> Thread:
    """Call ``say`` after that time, and ``end`` with status 1 then, each in a thread of its own."""

    def wait() -> None:
        time.sleep(seconds)
        saying = Thread(target=say, daemon=True)
        saying.start()
        saying.join(SAY_SECONDS)
        end(1)

    thread = Thread(target=wait, daemon=True, name="deadline")
    thread.start()
    return thread
