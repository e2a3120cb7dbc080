"""What every fuzz target has: a way to make an input by chance, and a check of it."""

from __future__ import annotations

import random
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, NamedTuple

__all__ = ["NAMES", "Target", "find_target", "same"]

NAMES: Final = ("lines", "chunks", "headers", "rings", "datagrams", "segments", "replays", "sources")
"""The targets, each in the module of that name."""


class Target(NamedTuple):
    """One target. ``make`` returns an input that can be printed, ``check`` raises an error if something is wrong."""

    name: str
    make: Callable[[random.Random], Any]
    check: Callable[[Any], None]

    def made_of(self, seed: int) -> Any:
        """Return the input of a seed."""
        return self.make(random.Random(seed))

    def try_seed(self, seed: int) -> None:
        """Make an input and check it."""
        self.check(self.made_of(seed))


def find_target(name: str) -> Target:
    """Return the target of that name, which imports what it tests."""
    found: Target = import_module(f"tests.fuzz.{name}").TARGET
    return found


def same(what: str, expected: object, found: object) -> None:
    """Raise `AssertionError` if the two differ."""
    if expected != found:
        raise AssertionError(f"{what}: {found!r}, and not {expected!r}"[:4000])
