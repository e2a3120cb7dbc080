"""The values of a sample, once its type and rate are known."""

from __future__ import annotations

from statsd_tcp.wire.numbers import LIMIT, read_number
from statsd_tcp.wire.reasons import MALFORMED_VALUE, Rejected
from statsd_tcp.wire.samples import Kind, Sample

__all__ = ["read_values"]


def read_values(kind: Kind, series: str, rate: float, text: bytes, *, signed_gauges: bool) -> tuple[Sample, ...]:
    """Return a sample for each of the values in ``text``: one for a set, else as many as colons separate.

    Raises ``Rejected`` for a bad value, and ``UnicodeDecodeError`` for a member that is not UTF-8.
    """
    if kind == "s":
        return (_member(series, text),)
    if kind == "g":
        return tuple([_change(series, value, signed=signed_gauges) for value in text.split(b":")])
    return tuple([_measurement(kind, series, rate, value) for value in text.split(b":")])


def _member(series: str, text: bytes) -> Sample:
    if not text:
        raise Rejected(MALFORMED_VALUE)
    return Sample("s", series, text.decode())


def _change(series: str, text: bytes, *, signed: bool) -> Sample:
    return Sample("g", series, _number(text), relative=signed and text[:1] in b"+-")


def _measurement(kind: Kind, series: str, rate: float, text: bytes) -> Sample:
    value = _number(text)
    total = value / rate
    if not -LIMIT <= total <= LIMIT:
        raise Rejected(MALFORMED_VALUE)
    return Sample(kind, series, total if kind == "c" else value, 1.0 / rate)


def _number(text: bytes) -> float:
    number = read_number(text)
    if number is None:
        raise Rejected(MALFORMED_VALUE)
    return number
