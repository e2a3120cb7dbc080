"""Which series are to be deleted: those that patterns mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Literal, NamedTuple

from statsd_tcp.wire.notation import Patterns

__all__ = ["DELETABLE", "Deletion", "Kind", "Search"]

Kind = Literal["counters", "gauges", "timers"]

DELETABLE: tuple[Kind, ...] = ("counters", "gauges", "timers")


class Deletion(NamedTuple):
    """What was found for a pattern: the identities of the series, none if there was nothing."""

    pattern: str
    identities: Sequence[str]


class Search:
    """Finds the series that patterns mean (see `Patterns`); one that several mean is the first one's."""

    def __init__(self, patterns: Sequence[str]) -> None:
        self._names = patterns
        self._patterns = Patterns(patterns)
        self._found: list[list[str]] = [[] for _ in patterns]

    def take(self, identities: Iterable[str]) -> None:
        """Look at series, each of which must come only once."""
        first, found = self._patterns.first, self._found
        for identity in identities:
            number = first(identity)
            if number is not None:
                found[number].append(identity)

    @property
    def deletions(self) -> list[Deletion]:
        """Return what was found for each pattern."""
        return [Deletion(name, sorted(found)) for name, found in zip(self._names, self._found, strict=True)]

    @property
    def found(self) -> list[str]:
        """Return all that was found."""
        return list(chain.from_iterable(self._found))
