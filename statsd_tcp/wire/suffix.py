"""The suffix of a line: the fields after its first values.

::

    name:1:2|c|@0.1:3|ms|#key:value|c:container
             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        type rate  values of a second sample, type, sections

A colon in a type or rate field begins the values of another sample of the same name, except in a set, whose
members may have colons. Tags belong to the line: they hold for all its samples. Of a repeated section the
last one counts.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from statsd_tcp.wire.numbers import read_rate
from statsd_tcp.wire.reasons import (
    INVALID_SAMPLE_RATE,
    MALFORMED_LINE,
    NOT_UTF8,
    UNIT_CONFLICT,
    UNKNOWN_TYPE,
    Rejected,
)
from statsd_tcp.wire.samples import KIND_OF, Kind
from statsd_tcp.wire.tags import NO_TAGS, Tags, read_section

__all__ = ["Part", "Suffix", "read_suffix"]

# Most traffic has a handful of short suffixes. These bounds keep what is remembered below 5 MiB, whatever
# comes.
_REMEMBERED: Final = 512
_MEMORABLE: Final = 256


class Part(NamedTuple):
    """One sample: its type, its rate (1 where it has no effect), and its values unless it is the first."""

    kind: Kind
    rate: float
    values: bytes


class Suffix(NamedTuple):
    """What a suffix says. ``flaw``: why it can't be taken apart; ``reason``: what is wrong in its parts."""

    parts: tuple[Part, ...] = ()
    tags: Tags = NO_TAGS
    flaw: str = ""
    reason: str = ""


class _Draft:
    """The fields of one sample, as written."""

    __slots__ = ("kind", "rate", "values")

    def __init__(self, values: bytes) -> None:
        self.values = values
        self.kind = b""
        self.rate: bytes | None = None

    def take_kind(self, field: bytes) -> _Draft:
        """Read a type field. Returned is the sample of the next field: this, or one that begins here."""
        kind, colon, values = field.partition(b":")
        if not kind:
            raise Rejected(MALFORMED_LINE)
        if colon and kind != b"s":
            self.kind = kind
            return _Draft(values)
        self.kind = field
        return self

    def take_rate(self, field: bytes) -> _Draft:
        """Read a rate field without its ``@``, and return what ``take_kind`` does."""
        rate, colon, values = field.partition(b":")
        if colon and self.kind != b"s":
            self.rate = rate
            return _Draft(values)
        self.rate = field
        return self


def read_suffix(suffix: bytes) -> Suffix:
    """Return what ``suffix`` says, whatever the name before it."""
    return _remembered(suffix) if len(suffix) <= _MEMORABLE else _read(suffix)


def _read(suffix: bytes) -> Suffix:
    try:
        suffix.decode()
        drafts, section = _split(suffix)
        tags = read_section(section.decode())
    except Rejected as rejected:
        return Suffix(flaw=rejected.reason)
    except UnicodeDecodeError:
        return Suffix(flaw=NOT_UTF8)
    try:
        return Suffix(_parts(drafts), tags)
    except Rejected as rejected:
        return Suffix((), tags, reason=rejected.reason)


_remembered = lru_cache(_REMEMBERED)(_read)


def _split(suffix: bytes) -> tuple[list[_Draft], bytes]:
    draft = _Draft(b"")
    drafts = [draft]
    section = b""
    for field in suffix.split(b"|"):
        if not draft.kind:
            draft = draft.take_kind(field)
        elif field[:1] == b"@":
            draft = draft.take_rate(field[1:])
        elif field[:1] == b"#":
            section = field[1:]
        elif field and not field[:1].isalpha():
            # DogStatsD's further sections begin with a letter. Anything else is more likely a forgotten "@"
            # or "#".
            raise Rejected(MALFORMED_LINE)
        if draft is not drafts[-1]:
            drafts.append(draft)
    if not draft.kind:
        raise Rejected(MALFORMED_LINE)
    return drafts, section


def _parts(drafts: list[_Draft]) -> tuple[Part, ...]:
    try:
        kinds = [KIND_OF[draft.kind] for draft in drafts]
    except KeyError:
        raise Rejected(UNKNOWN_TYPE) from None
    if "ms" in kinds and not {"h", "d"}.isdisjoint(kinds):
        raise Rejected(UNIT_CONFLICT)
    return tuple([_part(draft, kind) for draft, kind in zip(drafts, kinds, strict=True)])


def _part(draft: _Draft, kind: Kind) -> Part:
    rate = 1.0 if draft.rate is None else read_rate(draft.rate)
    if rate is None:
        raise Rejected(INVALID_SAMPLE_RATE)
    return Part(kind, 1.0 if kind in {"g", "s"} else rate, draft.values)
