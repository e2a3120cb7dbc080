"""The form of the tables: what a peer's own tests send, what the peer makes of it, and what it means here."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Case", "Origin", "Row", "listed"]


class Case(NamedTuple):
    """Datagrams, what the origin makes of them, what they mean here, and why that differs: empty, if it is the same.

    ``grammar``: the listener, as `wire.grammar.named` understands it. ``summed``: the origin's test looks at sums only.
    """

    datagrams: tuple[bytes, ...]
    theirs: str
    ours: str
    reason: str
    grammar: str
    summed: bool


class Origin(NamedTuple):
    """A server, or clients of one, and where its tests are."""

    name: str
    tests: str
    cases: tuple[Case, ...]


Row = tuple[bytes | tuple[bytes, ...], str] | tuple[bytes | tuple[bytes, ...], str, str, str]
"""Datagrams and what both make of them; or what the origin makes of them, what they mean here, and the reason."""


def listed(grammar: str, *rows: Row, summed: bool = False) -> tuple[Case, ...]:
    """Return the cases of a listener that speaks this grammar."""
    cases = []
    for datagrams, theirs, *difference in rows:
        ours, reason = difference or (theirs, "")
        packets = (datagrams,) if isinstance(datagrams, bytes) else datagrams
        cases.append(Case(packets, theirs, ours, reason, grammar, summed))
    return tuple(cases)
