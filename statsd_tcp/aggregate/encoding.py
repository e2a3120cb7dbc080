"""An interval as bytes, on its way from a worker to the supervisor, and in the store.

One byte for the version, then msgpack. The version changes whenever the fields do: during an upgrade the
two ends may be of different releases, and must know it. Version 1 is that of release 0.1.0, see `encoding_1`.
"""

from __future__ import annotations

from itertools import chain
from typing import Final

import msgspec

from statsd_tcp.aggregate import encoding_1
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.words import in_words

__all__ = ["VERSION", "VERSION_1", "BadIntervalError", "decode", "encode"]

VERSION: Final = 2
VERSION_1: Final = 1

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Interval)


class BadIntervalError(ValueError):
    """These bytes are no interval of a version that is known."""


def encode(interval: Interval, version: int = VERSION) -> bytes:
    """Return ``interval`` as bytes; a supervisor of release 0.1.0 reads `VERSION_1` only."""
    if version == VERSION_1:
        return bytes([version]) + encoding_1.encode(interval)
    return bytes([VERSION]) + _encoder.encode(interval)


def decode(payload: bytes) -> Interval:
    """Return the interval in ``payload``. Raises `BadIntervalError` for what `encode` did not make."""
    version, rest = payload[:1], memoryview(payload)[1:]
    try:
        if version == bytes([VERSION]):
            interval = _decoder.decode(rest)
            for values in chain(interval.times.values(), interval.distributions.values()):
                values.check()
            return interval
        if version == bytes([VERSION_1]):
            return encoding_1.decode(rest)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BadIntervalError(in_words(error)) from error
    raise BadIntervalError(f"an interval begins with version {VERSION_1} or {VERSION}, not {version!r}")
