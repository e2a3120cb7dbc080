"""An interval as bytes, on its way from a worker to the supervisor, and in the store.

One byte for the version, then msgpack. The version changes whenever the fields do: during an upgrade the
two ends may be of different releases, and must know it. Version 1 is that of release 0.1.0, see `encoding_1`.
Versions 1 and 2 have one number of each counter, the rises and the falls together; up to version 3 each has its name.
"""

from __future__ import annotations

from itertools import chain
from typing import Final

import msgspec

from statsd_tcp.aggregate import encoding_1
from statsd_tcp.aggregate.counter_sums import Fall
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.values import NUMBER_BYTES
from statsd_tcp.words import in_words

__all__ = [
    "VERSION",
    "VERSION_1",
    "VERSION_2",
    "VERSION_3",
    "BadIntervalError",
    "UnknownSessionError",
    "decode",
    "encode",
]

VERSION: Final = 4
VERSION_1: Final = 1
VERSION_2: Final = 2
VERSION_3: Final = 3

_PRESENT_FIELDS: Final = frozenset(bytes([version]) for version in (VERSION_2, VERSION_3, VERSION))
"""The versions with the fields of `Interval`, or the first ones of them."""

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Interval)


class BadIntervalError(ValueError):
    """These bytes are no interval of a version that is known."""


class UnknownSessionError(BadIntervalError):
    """An interval has counters by number, and nothing is known of the session that these belong to."""


def encode(interval: Interval, version: int = VERSION) -> bytes:
    """Return ``interval`` as bytes; an older supervisor reads an older version only, in which counters have names."""
    if version == VERSION_1:
        return bytes([version]) + encoding_1.encode(_together(interval))
    if version == VERSION_2:
        return bytes([version]) + _encoder.encode(_together(interval))
    return bytes([VERSION_3 if version == VERSION_3 else VERSION]) + _encoder.encode(interval)


def decode(payload: bytes) -> Interval:
    """Return the interval in ``payload``. Raises `BadIntervalError` for what `encode` did not make."""
    version, rest = payload[:1], memoryview(payload)[1:]
    try:
        if version in _PRESENT_FIELDS:
            return _checked(_decoder.decode(rest), version)
        if version == bytes([VERSION_1]):
            return _apart(encoding_1.decode(rest))
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadIntervalError(in_words(error)) from error
    raise BadIntervalError(f"an interval begins with a version from {VERSION_1} to {VERSION}, not {version!r}")


def _checked(interval: Interval, version: bytes) -> Interval:
    """Return an interval as it is understood today; raise `ValueError` for columns that make no sense."""
    for values in chain(interval.times.values(), interval.distributions.values()):
        # Most have one column, and a call for each takes longer than all the rest.
        if values.counts or values.rates or len(values.values) % NUMBER_BYTES:
            values.check()
    interval.numbered.check()
    if interval.numbered.session and (version != bytes([VERSION]) or interval.counters):
        raise ValueError("counters are said by name and by number")
    if not interval.numbered.session and not interval.falls.keys() <= interval.counters.keys():
        raise ValueError("a counter went down that is not among the counters")
    return _apart(interval) if version == bytes([VERSION_2]) else interval


def _together(interval: Interval) -> Interval:
    """Return an interval with one number of each counter."""
    changes = {series: fall.change(interval.counters[series]) for series, fall in interval.falls.items()}
    return msgspec.structs.replace(interval, counters=interval.counters | changes, falls={}, met=[])


def _apart(interval: Interval) -> Interval:
    """Return an interval in which what went down in all is a fall, of one line: there may have been more."""
    falls = {series: Fall(change, 1) for series, change in interval.counters.items() if change < 0.0}
    return msgspec.structs.replace(interval, counters=interval.counters | dict.fromkeys(falls, 0.0), falls=falls)
