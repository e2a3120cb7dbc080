r"""Reads what Node's ``util.inspect`` makes of an object with numbers or lists of numbers: etsy's dumps.

{
  plain: 3,
  'page.hits;code=200': 1e+21,
  time: [ 320, 7.5 ],
  long: [ 1, 2, ... 130 more items ]
}
"""

from __future__ import annotations

import re
from typing import NamedTuple

__all__ = ["NotInspected", "Values", "read_lists", "read_numbers"]

_STRING = r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|`(?:[^`\\]|\\.)*`"""
_ENTRY = re.compile(
    rf"\s*(\[?(?:{_STRING})\]?|[\w$]+):\s*(\[[^\]]*\]|{_STRING}|[^\s,{{}}\[\]]+)\s*(?:,|(?=\}}))", re.DOTALL
)
_MORE = re.compile(r"\.\.\. (\d+) more items?$")
_ESCAPE = re.compile(r"\\(?:x([0-9A-Fa-f]{2})|u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_CONTROLS = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v"}


class NotInspected(Exception):  # noqa: N818  (an answer to the operator)
    """A text is no such dump; the text says from where on."""


class Values(NamedTuple):
    """The values of a timer: how many, and the sum; None if the dump does not show all."""

    number: int
    sum: float | None


def read_numbers(text: str) -> dict[str, float]:
    """Read a dump of counters or gauges; raises `NotInspected`. What is no number is left out."""
    found = {}
    for name, value in _entries(text):
        try:
            found[name] = float(value)
        except ValueError:
            continue
    return found


def read_lists(text: str) -> dict[str, Values]:
    """Read a dump of timers; raises `NotInspected`. What is no list of numbers is left out."""
    found = {}
    for name, value in _entries(text):
        items = [item.strip() for item in value.strip("[]").split(",") if item.strip()]
        more = _MORE.match(items[-1]) if items else None
        try:
            if not value.startswith("["):
                continue
            if more is not None:
                found[name] = Values(len(items) - 1 + int(more[1]), None)
            else:
                found[name] = Values(len(items), sum(map(float, items)))
        except ValueError:
            continue
    return found


def _entries(text: str) -> list[tuple[str, str]]:
    text = text.strip()
    if not (text.startswith("{") and text.endswith("}")):
        raise NotInspected(f"{text[:60]!r} is no object as Node shows it")
    entries, place = [], 1
    while found := _ENTRY.match(text, place):
        entries.append((_name(found[1]), found[2]))
        place = found.end()
    if text[place:-1].strip():
        raise NotInspected(f"{text[place : place + 60]!r} is no entry of an object as Node shows it")
    return entries


def _name(text: str) -> str:
    if text[0] not in "['\"`":
        return text
    return _ESCAPE.sub(_character, text.strip("[]")[1:-1])


def _character(found: re.Match[str]) -> str:
    if code := found[1] or found[2]:
        return chr(int(code, 16))
    return _CONTROLS.get(found[3], found[3])
