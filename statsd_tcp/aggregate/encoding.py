"""An interval as bytes, on its way from a worker to the supervisor, and in the store.

One byte for the version, then msgpack. The version changes whenever the fields do: during an upgrade the
two ends may be of different releases, and must know it. Version 1 is that of release 0.1.0, see `encoding_1`.
Versions 1 and 2 have one number of each counter, the rises and the falls together.
"""

from __future__ import annotations

from itertools import chain
from typing import Final

import msgspec

from statsd_tcp.aggregate import encoding_1
from statsd_tcp.aggregate.counter_sums import Fall
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.words import in_words

__all__ = ["VERSION", "VERSION_1", "VERSION_2", "BadIntervalError", "decode", "encode"]

VERSION: Final = 3
VERSION_1: Final = 1
VERSION_2: Final = 2

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Interval)


class BadIntervalError(ValueError):
    """These bytes are no interval of a version that is known."""


def encode(interval: Interval, version: int = VERSION) -> bytes:
    """Return ``interval`` as bytes; an older supervisor reads an older version only."""
    if version == VERSION_1:
        return bytes([version]) + encoding_1.encode(_together(interval))
    if version == VERSION_2:
        return bytes([version]) + _encoder.encode(_together(interval))
    return bytes([VERSION]) + _encoder.encode(interval)


def decode(payload: bytes) -> Interval:
    """Return the interval in ``payload``. Raises `BadIntervalError` for what `encode` did not make."""
    version, rest = payload[:1], memoryview(payload)[1:]
    try:
        if version in {bytes([VERSION]), bytes([VERSION_2])}:
            interval = _decoder.decode(rest)
            for values in chain(interval.times.values(), interval.distributions.values()):
                values.check()
            return interval if version == bytes([VERSION]) else _apart(interval)
        if version == bytes([VERSION_1]):
            return _apart(encoding_1.decode(rest))
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadIntervalError(in_words(error)) from error
    raise BadIntervalError(f"an interval begins with a version from {VERSION_1} to {VERSION}, not {version!r}")


def _together(interval: Interval) -> Interval:
    """Return an interval with one number of each counter."""
    changes = {series: fall.change(interval.counters[series]) for series, fall in interval.falls.items()}
    return msgspec.structs.replace(interval, counters=interval.counters | changes, falls={}, met=[])


def _apart(interval: Interval) -> Interval:
    """Return an interval in which what went down in all is a fall, of one line: there may have been more."""
    falls = {series: Fall(change, 1) for series, change in interval.counters.items() if change < 0.0}
    return msgspec.structs.replace(interval, counters=interval.counters | dict.fromkeys(falls, 0.0), falls=falls)
