"""Counting what is in an iterable, at the speed of C where Python offers it."""

from __future__ import annotations

import collections
from collections.abc import Callable, Hashable, Iterable
from typing import Any, TypeVar

__all__ = ["count_into", "slow_count_into"]

_H = TypeVar("_H", bound=Hashable)


def slow_count_into(counts: dict[_H, float], elements: Iterable[_H]) -> None:
    """Add 1 in ``counts`` for each of ``elements``."""
    for element in elements:
        counts[element] = counts.get(element, 0) + 1


# What `collections.Counter` uses where it can. It has no public name, but it takes a plain dictionary, whose
# numbers need not be whole.
count_into: Callable[[dict[Any, Any], Iterable[Any]], None] = getattr(collections, "_count_elements", slow_count_into)
