"""The values of a sample, once its type and rate are known."""

from __future__ import annotations

from typing import NamedTuple

from statsd_tcp.wire.numbers import HIGHEST, LARGEST_CHANGE, LIMIT, read_number
from statsd_tcp.wire.reasons import MALFORMED_VALUE, Rejected
from statsd_tcp.wire.samples import Kind, Sample

__all__ = ["Manner", "limit_of", "read_values"]


class Manner(NamedTuple):
    """How the values of a sample are to be read: of which type, with which rate, and what colons and signs mean.

    ``packed``: there may be several, separated by colons. ``signed``: a sign changes a gauge.
    """

    kind: Kind
    rate: float
    packed: bool
    signed: bool


def limit_of(kind: Kind) -> float:
    """Return the most, in magnitude, of a value divided by its rate: what is not added to anything has no limit."""
    return HIGHEST if kind == "g" else LIMIT


def read_values(series: str, manner: Manner, text: bytes) -> tuple[tuple[Sample, ...], bool]:
    """Return the samples in ``text``, and whether it has values without a type before them.

    Of values that are not packed only the last has a type. Raises ``Rejected`` for a bad value, and
    ``UnicodeDecodeError`` for a member that is not UTF-8.
    """
    if manner.kind == "s":
        return (_member(series, text),), False
    if manner.packed:
        values = [value for value in map(bytes.strip, text.split(b":")) if value] or [b""]
        return tuple([_measurement(series, manner, value) for value in values]), False
    _, colon, last = text.rpartition(b":")
    return (_measurement(series, manner, last.strip()),), bool(colon)


def _member(series: str, text: bytes) -> Sample:
    if not text:
        raise Rejected(MALFORMED_VALUE)
    return Sample("s", series, text.decode())


def _measurement(series: str, manner: Manner, text: bytes) -> Sample:
    value = read_number(text)
    if value is None:
        raise Rejected(MALFORMED_VALUE)
    kind, rate = manner.kind, manner.rate
    relative = kind == "g" and manner.signed and text[:1] in {b"+", b"-"}
    limit = LARGEST_CHANGE if relative else limit_of(kind)
    total = value / rate
    if not -limit <= total <= limit:
        raise Rejected(MALFORMED_VALUE)
    return Sample(kind, series, total if kind == "c" else value, 1.0 / rate, relative)
