"""Numbers and names as they stand in a StatsD line, and which of them can stand there. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from operator import index
from typing import Any, Union

__all__ = ["LARGEST", "LARGEST_CHANGE", "Tags", "is_member", "is_name", "number", "plain", "sections", "tag_section"]

Tags = Union[Iterable[str], Mapping[str, object]]
"""``["env:test", "bare"]``, or ``{"env": "test"}``. A mapping's value None makes a bare tag."""

LARGEST = 2.0**53
"""Servers keep totals as doubles. From here on not every whole number is one, and statscounter rejects the line."""

LARGEST_CHANGE = 2.0**64
"""A gauge cannot be changed by more, nor set to less than 0 minus this where that takes a change."""

_MOST_NAME = 1000
"""Bytes of a name, a member, or the tags. Servers close connections or drop lines beyond 4096, and a line has all."""

# What would end the name, or the line; half of a surrogate pair has no UTF-8. A line that begins with "!" is not
# data on a listener with ``confirm=stored``.
_NAME = re.compile(rf"(?!!)[^\x00-\x1f\x7f:|\ud800-\udfff]{{1,{_MOST_NAME}}}")
_MEMBER = re.compile(rf"[^\x00-\x1f\x7f|\ud800-\udfff]{{1,{_MOST_NAME}}}")
_SECTIONS = re.compile(rf"(?:\|@[0-9.e-]+)?(?:\|#[^\x00-\x1f\x7f|\ud800-\udfff]{{1,{_MOST_NAME}}})?")


def is_name(text: str) -> bool:
    """Return whether a text can be the name of a series."""
    return _NAME.fullmatch(text) is not None and _fits(text)


def is_member(text: str) -> bool:
    """Return whether a text can be the member of a set. It may contain colons, which etsy's server would split."""
    return _MEMBER.fullmatch(text) is not None and _fits(text)


def is_sections(text: str) -> bool:
    """Return whether a text can follow the type: nothing, a rate, tags, or both."""
    return _SECTIONS.fullmatch(text) is not None and _fits(text.partition("|#")[2])


def _fits(text: str) -> bool:
    return len(text) <= _MOST_NAME // 4 or len(text.encode()) <= _MOST_NAME


def plain(value: Any) -> float:
    """Return any number as an `int` or a `float`, and NaN for one that neither can be. Raises `TypeError` for others.

    Sums of other types overflow (numpy), or refuse the next `float` (`Decimal`).
    """
    if isinstance(value, float):
        return float(value)
    try:
        return index(value)
    except TypeError:
        if isinstance(value, (str, bytes, bytearray)):
            raise
    try:
        return float(value)
    except (ValueError, OverflowError):
        return float("nan")


def number(value: float) -> str:
    """Return a finite number as text: a whole one with all digits, any other so that it is read as the same double."""
    return str(value) if isinstance(value, int) else repr(value)


def tag_section(tags: Tags) -> str:
    """Return tags as DogStatsD has them, ``|#env:test,bare``; without any tag, nothing."""
    # That something is a list is known sooner than that it is no mapping.
    if not isinstance(tags, (list, tuple)) and isinstance(tags, Mapping):
        tags = [key if value is None else f"{key}:{value}" for key, value in tags.items()]
    text = ",".join(tags)
    return f"|#{text}" if text else ""


def sections(rate: float, tags: Tags | None) -> str:
    """Return what follows the type: a rate below 1, then the section of the tags."""
    section = tag_section(tags) if tags else ""
    return f"|@{rate}{section}" if rate < 1 else section
