"""The suffix of a line: the fields after its first values.

::

    name:1:2|c|@0.1:3|ms|#key:value|c:container
             ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
        type rate  values of a second sample, type, sections

A colon in a type or rate field begins the values of another sample of the same name. A value without a type is no
sample. Tags belong to the line: they hold for all its samples. Of a repeated rate the last one counts.
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

_CONTAINER: Final = b"c:"


class Part(NamedTuple):
    """One sample: its type, its rate (1 where it has no effect), and its values unless it is the first."""

    kind: Kind
    rate: float
    values: bytes


class Suffix(NamedTuple):
    """What a suffix says.

    ``flaw``: why it cannot be taken apart; ``reason``: what is wrong in its parts. ``untyped``: it ends in values that
    have no type. ``container`` is DogStatsD's, if there is one; ``shows_dogstatsd``: there is a section that only
    clients of DogStatsD write.
    """

    parts: tuple[Part, ...] = ()
    tags: Tags = NO_TAGS
    flaw: str = ""
    reason: str = ""
    untyped: bool = False
    container: str = ""
    shows_dogstatsd: bool = False


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
        self.kind = _bare(kind)
        if not self.kind:
            raise Rejected(MALFORMED_LINE)
        return _Draft(values) if colon else self

    def take_rate(self, field: bytes) -> _Draft:
        """Read a rate field without its ``@``, and return what ``take_kind`` does."""
        rate, colon, values = field.partition(b":")
        self.rate = rate.strip()
        return _Draft(values) if colon else self


def _bare(kind: bytes) -> bytes:
    """Cut off blanks around a type. Before it there are only spaces: by them lines with gauges are found."""
    return kind.rstrip().lstrip(b" ")


class _Sections:
    """The sections of a line, whichever sample they follow."""

    __slots__ = ("container", "shown", "tags")

    def __init__(self) -> None:
        self.tags: list[bytes] = []
        self.container = b""
        self.shown = False

    def take(self, field: bytes) -> None:
        """Read one that is no rate. Those of DogStatsD begin with a letter, or ``#``.

        Anything else is more likely a forgotten ``@`` or ``#``.
        """
        if not field:
            return
        if field[:1] == b"#":
            self.tags.append(field[1:])
        elif field.startswith(_CONTAINER):
            self.container = field[len(_CONTAINER) :]
        elif not field[:1].isalpha():
            raise Rejected(MALFORMED_LINE)
        self.shown = True


def read_suffix(suffix: bytes) -> Suffix:
    """Return what ``suffix`` says, whatever the name before it."""
    return _remembered(suffix) if len(suffix) <= _MEMORABLE else _read(suffix)


def _read(suffix: bytes) -> Suffix:
    sections = _Sections()
    try:
        suffix.decode()
        drafts = _split(suffix, sections)
        tags = read_section(b",".join(filter(None, sections.tags)).decode())
    except Rejected as rejected:
        return Suffix(flaw=rejected.reason)
    except UnicodeDecodeError:
        return Suffix(flaw=NOT_UTF8)
    untyped = not drafts[-1].kind
    try:
        parts = _parts(drafts[:-1] if untyped else drafts)
    except Rejected as rejected:
        return Suffix(tags=tags, reason=rejected.reason, untyped=untyped)
    return Suffix(parts, tags, "", "", untyped, sections.container.decode(), sections.shown)


_remembered = lru_cache(_REMEMBERED)(_read)


def _split(suffix: bytes, sections: _Sections) -> list[_Draft]:
    draft = _Draft(b"")
    drafts = [draft]
    for field in suffix.split(b"|"):
        if not draft.kind:
            draft = draft.take_kind(field)
        elif field[:1] == b"@":
            draft = draft.take_rate(field[1:])
        else:
            sections.take(field)
        if draft is not drafts[-1]:
            drafts.append(draft)
    return drafts


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
