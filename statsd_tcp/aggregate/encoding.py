"""An interval as bytes, on its way from a worker to the supervisor.

One byte for the version, then msgpack. The version changes whenever the fields do: during an upgrade the
two ends may be of different releases, and must know it.
"""

from __future__ import annotations

from typing import Final

import msgspec

from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.words import in_words

__all__ = ["BadIntervalError", "decode", "encode"]

_VERSION: Final = b"\x01"

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Interval)


class BadIntervalError(ValueError):
    """These bytes are no interval of this version."""


def encode(interval: Interval) -> bytes:
    """Return ``interval`` as bytes."""
    return _VERSION + _encoder.encode(interval)


def decode(payload: bytes) -> Interval:
    """Return the interval in ``payload``. Raises `BadIntervalError` for what `encode` did not make."""
    if payload[:1] != _VERSION:
        message = f"an interval begins with version {_VERSION[0]}, not {payload[:1]!r}"
        raise BadIntervalError(message)
    try:
        return _decoder.decode(memoryview(payload)[1:])
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise BadIntervalError(in_words(error)) from error
