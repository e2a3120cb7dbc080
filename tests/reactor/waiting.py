"""Waiting for a condition while the reactor runs, with a deadline that only a defect can miss."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.task import deferLater

from tests.patience import PATIENCE

__all__ = ["PATIENCE", "until"]

_PAUSE = 0.002

_T = TypeVar("_T")


async def until(reactor: Any, condition: Callable[[], _T | None], what: str, patience: float = PATIENCE) -> _T:
    """Let the reactor run until ``condition`` gives something true, and give that; fail when it takes too long."""
    deadline = reactor.seconds() + patience
    while not (found := condition()):
        if reactor.seconds() > deadline:
            raise AssertionError(f"waited {patience:g} s in vain until {what}; at last: {found!r}")
        await deferLater(reactor, _PAUSE)
    return found
