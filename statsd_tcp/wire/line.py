"""One line, read from its beginning to its end: samples, or a reason why not."""

from __future__ import annotations

from typing import Final, Literal

import msgspec

from statsd_tcp.wire.events import read_special
from statsd_tcp.wire.grammar import Grammar
from statsd_tcp.wire.reasons import LINE_TOO_LONG, MALFORMED_LINE, NOT_UTF8, PROXY_HEADER, Rejected
from statsd_tcp.wire.samples import Sample
from statsd_tcp.wire.shape import Shape, manner_of, read_shape
from statsd_tcp.wire.values import read_values

__all__ = ["Parsed", "What", "complete", "parse_line"]

What = Literal["samples", "event", "service_check", "empty", "bad"]


class Parsed(msgspec.Struct, frozen=True, gc=False):
    """The verdict on one line.

    ``reason``: something in it is bad. Then ``what`` is ``"bad"`` and nothing in it counts; only values without a type
    leave the ``samples`` next to them as they are. ``bad_tags`` is how many tags were left out of a line with samples.
    """

    what: What = "samples"
    samples: tuple[Sample, ...] = ()
    reason: str | None = None
    bad_tags: int = 0


_EMPTY: Final = Parsed("empty")

_PROXY_HEADER: Final = (b"PROXY TCP4 ", b"PROXY TCP6 ", b"PROXY UNKNOWN")
"""What the first version of the PROXY protocol sends before a client's lines. It has no type, and so is a bad line."""


def parse_line(line: bytes, grammar: Grammar) -> Parsed:
    """Return the verdict on ``line``, which has no newline. Never raises."""
    if line in {b"", b"\r"}:
        return _EMPTY
    head, _, rest = line.partition(b":")
    values, _, suffix = rest.partition(b"|")
    return complete(line, read_shape(head, suffix, grammar), values, grammar)


def complete(line: bytes, shape: Shape, values: bytes, grammar: Grammar) -> Parsed:
    """Return the verdict on a line that is not empty and has this shape and these first values."""
    if len(line) > grammar.max_line:
        return _bad(LINE_TOO_LONG)
    if shape.special:
        return _special(line.removesuffix(b"\r"))
    if shape.reason:
        return _bad(_reason_of(line, shape.reason))
    try:
        samples, untyped = read_values(shape.series, manner_of(shape, grammar), values)
    except UnicodeDecodeError:
        return _bad(NOT_UTF8)
    except Rejected as rejected:
        return _bad(rejected.reason if _is_utf8(line) else NOT_UTF8)
    if untyped and not _is_utf8(line):
        return _bad(NOT_UTF8)
    reason = MALFORMED_LINE if untyped or shape.untyped else None
    return Parsed("samples", samples + shape.more, reason, shape.bad_tags)


def _special(line: bytes) -> Parsed:
    if not _is_utf8(line):
        return _bad(NOT_UTF8)
    what = read_special(line)
    return Parsed(what) if what else _bad(MALFORMED_LINE)


def _bad(reason: str) -> Parsed:
    return Parsed("bad", (), reason)


def _reason_of(line: bytes, reason: str) -> str:
    if reason == NOT_UTF8 or not _is_utf8(line):
        return NOT_UTF8
    return PROXY_HEADER if reason == MALFORMED_LINE and line.startswith(_PROXY_HEADER) else reason


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode()
    except UnicodeDecodeError:
        return False
    return True
