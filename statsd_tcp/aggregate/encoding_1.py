r"""Intervals in the words of release 0.1.0: what its workers say, what is in its store, and what its supervisor reads.

There the values of a timer are a map from each to its weight, and for sampled ones another to the part of the weight
that was never received. The maps are read and written here as bytes, and never become a table::

    8n | de 2 bytes | df 4 bytes        a map of that many pairs, each of them two doubles:
    cb value (8 bytes, big-endian)  cb weight (8 bytes, big-endian)
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from typing import Final

import msgspec

from statsd_tcp.aggregate.gauges import Change
from statsd_tcp.aggregate.interval import Interval, ListenerCounts
from statsd_tcp.aggregate.values import Values, added_up, packed, packed_counts

__all__ = ["decode", "encode"]

_DOUBLE: Final = 0xCB
_PAIR: Final = struct.Struct(">BdBd")
_SMALL_MAP: Final = 0x80
_HEADS: Final = {0xDE: struct.Struct(">xH"), 0xDF: struct.Struct(">xI")}

Maps = dict[str, msgspec.Raw]


class _Interval(msgspec.Struct, array_like=True):
    """The fields of an interval as they were."""

    listeners: dict[str, ListenerCounts] = {}
    samples: dict[str, int] = {}
    bad_lines: dict[str, int] = {}
    bad_tags: int = 0
    events: int = 0
    service_checks: int = 0
    counters: dict[str, float] = {}
    gauges: dict[str, list[Change]] = {}
    times: Maps = {}
    distributions: Maps = {}
    sets: dict[str, set[str]] = {}
    unseen_times: Maps = {}
    unseen_distributions: Maps = {}


_KEPT: Final = tuple(
    field
    for field in _Interval.__struct_fields__
    if field not in {"times", "distributions", "unseen_times", "unseen_distributions"}
)

_decoder: Final = msgspec.msgpack.Decoder(_Interval)
_encoder: Final = msgspec.msgpack.Encoder()


def decode(payload: memoryview) -> Interval:
    """Return the interval; raises `ValueError` (also msgspec's) for what is none."""
    old = _decoder.decode(payload)
    kept = {field: getattr(old, field) for field in _KEPT}
    return Interval(
        times=_joined(old.times, old.unseen_times),
        distributions=_joined(old.distributions, old.unseen_distributions),
        **kept,
    )


def encode(interval: Interval) -> bytes:
    """Return an interval in these words."""
    old = _Interval(**{field: getattr(interval, field) for field in _KEPT})
    old.times, old.unseen_times = _parted(interval.times)
    old.distributions, old.unseen_distributions = _parted(interval.distributions)
    return _encoder.encode(old)


def _joined(weights: Maps, unseen: Maps) -> dict[str, Values]:
    nothing = msgspec.Raw(b"\x80")
    return {series: _values(_read(each), _read(unseen.get(series, nothing))) for series, each in weights.items()}


def _values(weights: Iterable[tuple[float, float]], unseen: Iterable[tuple[float, float]]) -> Values:
    """Return values that came as often as the part of their weight says which was received, once at least."""
    rows = chain(
        ((value, weight, weight) for value, weight in weights), ((value, -part, 0.0) for value, part in unseen)
    )
    values, received, whole = added_up(rows)
    counts = [max(round(count), 1) for count in received]
    rates = [weight / count for weight, count in zip(whole, counts, strict=True)]
    return Values(bytearray(packed(values)), bytearray(packed_counts(counts)), bytearray(packed(rates)))


def _read(raw: msgspec.Raw) -> Iterator[tuple[float, float]]:
    data = memoryview(raw)
    head = _HEADS.get(data[0])
    number = data[0] & 0x0F if head is None else head.unpack_from(data)[0]
    body = data[1 if head is None else head.size :]
    if (head is None and data[0] & 0xF0 != _SMALL_MAP) or len(body) != number * _PAIR.size:
        raise ValueError("this is no map of doubles")
    for mark, value, other, weight in _PAIR.iter_unpack(body):
        if not mark == other == _DOUBLE:
            raise ValueError("a map of doubles has something else in it")
        yield value, weight


def _parted(timers: Mapping[str, Values]) -> tuple[Maps, Maps]:
    weights: Maps = {}
    unseen: Maps = {}
    for series, values in timers.items():
        counted = values.counted()
        weights[series] = _written(zip(counted.values, counted.weights, strict=True))
        parts = [(value, weight - count) for value, count, weight in zip(*counted, strict=True) if weight != count]
        if parts:
            unseen[series] = _written(parts)
    return weights, unseen


def _written(pairs: Iterable[tuple[float, float]]) -> msgspec.Raw:
    body = [_PAIR.pack(_DOUBLE, value, _DOUBLE, weight) for value, weight in pairs]
    return msgspec.Raw(struct.pack(">BI", 0xDF, len(body)) + b"".join(body))
