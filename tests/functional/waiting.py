"""Waiting for a condition, with a deadline that only a service that hangs can miss."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from tests.patience import PATIENCE

__all__ = ["PATIENCE", "until"]

_SHORTEST, _LONGEST = 0.04, 0.2
"""Seconds between two questions: they become fewer, because each costs the machine something."""

_T = TypeVar("_T")


def until(condition: Callable[[], _T | None], what: str, patience: float = PATIENCE) -> _T:
    """Ask again and again until ``condition`` gives something true, and give that; fails when it takes too long."""
    deadline = time.monotonic() + patience
    pause = _SHORTEST
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {patience:g} s in vain until {what}; at last: {found!r}")
        time.sleep(pause)
        pause = min(pause * 1.5, _LONGEST)
