"""Finds series that have one name here and another one there."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterator

from statsd_tcp.commands.compare.readings import COUNTER, SUM, Key

__all__ = ["Pair", "pairs"]

Pair = tuple[Key, Key, str]
"""A key here, a key there, and the name of the `Reason` for which they are not the same."""

_TOTAL = "_total"
_ODD = re.compile(r"[\W_]+")


def pairs(here: Collection[Key], there: Collection[Key]) -> Iterator[Pair]:
    """Pair keys that only one side has: the types h and d, the suffix of counters, odd characters and tags."""
    ours, theirs = set(here), set(there)
    for pair in (*_types(ours, theirs), *_suffixes(ours, theirs), *_alike(ours, theirs)):
        if pair[0] in ours and pair[1] in theirs:
            ours.discard(pair[0])
            theirs.discard(pair[1])
            yield pair


def _types(ours: Collection[Key], theirs: Collection[Key]) -> Iterator[Pair]:
    """Pair the sum of what is observed here with the counter that it is there."""
    for key in theirs:
        own = key._replace(what=SUM)
        if key.what == COUNTER and own in ours:
            yield own, key, "h-and-d"


def _suffixes(ours: Collection[Key], theirs: Collection[Key]) -> Iterator[Pair]:
    for key in theirs:
        other = key.name.removesuffix(_TOTAL) if key.name.endswith(_TOTAL) else key.name + _TOTAL
        own = key._replace(name=other)
        if key.what == COUNTER and own in ours:
            yield own, key, "suffix"


def _alike(ours: Collection[Key], theirs: Collection[Key]) -> Iterator[Pair]:
    """Pair those that have the same letters and digits, if there is one of them on each side."""
    by_letters: dict[tuple[str, str], tuple[list[Key], list[Key]]] = defaultdict(lambda: ([], []))
    for side, keys in enumerate((ours, theirs)):
        for key in keys:
            by_letters[key.what, _letters(key)][side].append(key)
    for own, their in by_letters.values():
        if len(own) == len(their) == 1:
            yield own[0], their[0], "names"


def _letters(key: Key) -> str:
    # A tag without a value has this one here, and statsd_exporter leaves it out.
    tags = (name + value for name, value in key.labels if value != "true")
    return _ODD.sub("", key.name + "".join(tags))
