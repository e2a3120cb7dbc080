"""Counting what is in an iterable, at the speed of C where Python offers it."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterable

__all__ = ["count_into"]

_H = TypeVar("_H", bound="Hashable")


def _count_into(counts: dict[_H, float], elements: Iterable[_H]) -> None:
    """Add 1 in ``counts`` for each of ``elements``."""
    for element in elements:
        counts[element] = counts.get(element, 0) + 1


try:
    # What ``collections.Counter`` itself uses. It has no public name, but takes a plain dict, and numbers that are not whole.
    from _collections import _count_elements as count_into
except ImportError:
    count_into = _count_into
