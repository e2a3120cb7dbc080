"""The shape of a line: everything about it except its first values.

::

    hits.page,host=a:12|c|@0.1
    ^^^^^^^^^^^^^^^^ ^^ ^^^^^^
    head         values suffix

Real traffic has few shapes and many values. A shape depends on the head, the suffix and the grammar alone,
so it can be read once and remembered, whatever the values are.
"""

from __future__ import annotations

from typing import Final

import msgspec

from statsd_tcp.wire.events import is_special
from statsd_tcp.wire.grammar import Grammar
from statsd_tcp.wire.numbers import LIMIT, PACKED, read_number
from statsd_tcp.wire.reasons import (
    EMPTY_NAME,
    IDENTITY_TOO_LONG,
    MIXED_TAGGING_STYLES,
    NOT_UTF8,
    TOO_MANY_TAGS,
    Rejected,
)
from statsd_tcp.wire.samples import Kind, Sample
from statsd_tcp.wire.series import series_identity
from statsd_tcp.wire.suffix import Part, Suffix, read_suffix
from statsd_tcp.wire.tags import NO_TAGS, TaggedName, Tags, split_name
from statsd_tcp.wire.values import Manner, limit_of, read_values

__all__ = ["LONGEST_IDENTITY", "MOST_TAGS", "Shape", "manner_of", "packed_numbers", "plain_number", "read_shape"]

MOST_TAGS: Final = 256
"""Tags that one line may have, good and bad ones together. Clients have a dozen; each is kept for as long as its series
is, and written by every output."""

LONGEST_IDENTITY: Final = 8192
"""Bytes that a name may have together with its tags, however long a line may be: what each series takes, again and
again, in the store, in memory and on the page."""

CONTAINER: Final = "container_id"
"""The tag that DogStatsD's container becomes, as in statsd_exporter."""

# A whole number of at most 15 digits is below 2**53.
_SAFE_DIGITS: Final = 15

_DELIMITERS: Final = len(b":|")


class Shape(msgspec.Struct, frozen=True, eq=False, gc=False):
    """What the lines with the same head and suffix have in common. A shape equals only itself.

    ``reason``: why all of them are rejected, or empty. ``special``: they are events or service checks, or should be.
    Otherwise their first values are of this ``kind``, ``series`` and ``rate``, and the samples in ``more`` follow;
    ``untyped``: so do values without a type.

    ``plain``: if the values are numbers, they are all there is to count; ``packed``: there may be several. ``limit``:
    the most, in magnitude, of one divided by the rate. ``longest``: the most bytes that the values may have before the
    line is too long. ``digits``: one plain value of up to that many digits breaks no limit; -1 if the shape is not
    plain.
    """

    kind: Kind = "c"
    series: str = ""
    rate: float = 1.0
    bad_tags: int = 0
    more: tuple[Sample, ...] = ()
    reason: str = ""
    untyped: bool = False
    special: bool = False
    plain: bool = False
    packed: bool = False
    limit: float = LIMIT
    longest: int = 0
    digits: int = -1


def read_shape(head: bytes, suffix: bytes, grammar: Grammar) -> Shape:
    """Return the shape of lines with ``head`` before the first colon and ``suffix`` after the first bar."""
    if is_special(head):
        return Shape(special=True)
    try:
        return _read_shape(
            head, read_suffix(suffix.removesuffix(b"\r")), grammar, len(head) + len(suffix) + _DELIMITERS
        )
    except UnicodeDecodeError:
        return Shape(reason=NOT_UTF8)
    except Rejected as rejected:
        return Shape(reason=rejected.reason)


def plain_number(shape: Shape, values: bytes) -> float | None:
    """Return the one number that is the value of a plain line; None if it is not one, or not a good one."""
    number = read_number(values)
    if number is None or not -shape.limit <= number / shape.rate <= shape.limit or len(values) > shape.longest:
        return None
    return number


def packed_numbers(shape: Shape, values: bytes) -> list[float] | None:
    """Return the numbers that are the values of a plain line; None if there is none, or something is bad."""
    if not shape.packed or len(values) > shape.longest or values.translate(None, PACKED):
        return None
    try:
        numbers = [float(value) + 0.0 for value in values.split(b":") if value]
    except ValueError:
        return None
    good = numbers and max(numbers) / shape.rate <= LIMIT and min(numbers) / shape.rate >= -LIMIT
    return numbers if good else None


def manner_of(shape: Shape, grammar: Grammar) -> Manner:
    """Return how the first values of lines of this shape are read."""
    return Manner(shape.kind, shape.rate, shape.packed, grammar.signed_gauges)


def _read_shape(head: bytes, suffix: Suffix, grammar: Grammar, size: int) -> Shape:
    # In the order of the reasons: of several things wrong with a line the first is its reason.
    if suffix.flaw:
        raise Rejected(suffix.flaw)
    name = split_name(head.decode(), grammar)
    if not name.name:
        raise Rejected(EMPTY_NAME)
    tags = _tags(name, suffix, grammar)
    series = _identity(name.name, tags)
    if suffix.reason:
        raise Rejected(suffix.reason)
    first, *others = suffix.parts
    more, untyped = _more(series, others, suffix, grammar)
    plain = first.kind != "s" and not more and not untyped and not tags.bad
    longest = grammar.max_line - size
    return Shape(
        kind=first.kind,
        series=series,
        rate=first.rate,
        bad_tags=tags.bad,
        more=more,
        untyped=untyped,
        plain=plain,
        packed=_is_packed(first, suffix, grammar),
        limit=limit_of(first.kind),
        longest=longest,
        digits=min(_digits(first.rate), longest) if plain else -1,
    )


def _tags(name: TaggedName, suffix: Suffix, grammar: Grammar) -> Tags:
    section = suffix.tags if "dogstatsd" in grammar.tags else NO_TAGS
    if name.mixed or (name.tags.good and section.good):
        raise Rejected(MIXED_TAGGING_STYLES)
    container = ((CONTAINER, suffix.container),) if grammar.container and suffix.container else ()
    return Tags((name.tags.good or section.good) + container, name.tags.bad + section.bad)


def _identity(name: str, tags: Tags) -> str:
    if len(tags.good) + tags.bad > MOST_TAGS:
        raise Rejected(TOO_MANY_TAGS)
    series = series_identity(name, tags.good)
    # A character has four bytes at most: most names need not be encoded.
    if len(series) * 4 > LONGEST_IDENTITY and len(series.encode()) > LONGEST_IDENTITY:
        raise Rejected(IDENTITY_TOO_LONG)
    return series


def _is_packed(part: Part, suffix: Suffix, grammar: Grammar) -> bool:
    return part.kind in grammar.packed or (suffix.shows_dogstatsd and part.kind != "s")


def _more(series: str, parts: list[Part], suffix: Suffix, grammar: Grammar) -> tuple[tuple[Sample, ...], bool]:
    """Return the samples after the first values, and whether there are values without a type."""
    samples: list[Sample] = []
    untyped = suffix.untyped
    for part in parts:
        manner = Manner(part.kind, part.rate, _is_packed(part, suffix, grammar), grammar.signed_gauges)
        read, some = read_values(series, manner, part.values)
        samples += read
        untyped = untyped or some
    return tuple(samples), untyped


def _digits(rate: float) -> int:
    """Return how many digits a number of that rate may have and still be within the limit."""
    digits = _SAFE_DIGITS
    if rate == 1.0:
        return digits
    while 10.0**digits / rate > LIMIT:
        digits -= 1
    return digits
