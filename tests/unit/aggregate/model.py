"""What an interval should be, worked out line by line in the plainest way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec
from hypothesis import strategies as st

from statsd_tcp.aggregate.counter_sums import Fall
from statsd_tcp.aggregate.gauges import append_change
from statsd_tcp.aggregate.interval import Interval, ListenerCounts
from statsd_tcp.aggregate.values import Values, packed
from statsd_tcp.wire.grammar import DIALECTS, Grammar
from statsd_tcp.wire.line import parse_line
from statsd_tcp.wire.samples import Sample
from tests.unit.wire.strategies import lines

__all__ = ["GRAMMARS", "LABELS", "Chunk", "came", "chunks", "exact_lines", "expected", "first", "sums", "weights_of"]

FIELDS = {"c": "counters", "g": "gauges", "ms": "times", "h": "distributions", "d": "distributions", "s": "sets"}
LABELS = ("tcp:8125", "udp:8125", "unix", "tcp:8125")
GRAMMARS = {"unix": DIALECTS["dogstatsd"]}


class Chunk(NamedTuple):
    """Lines that came together: at a listener, at a tick."""

    listener: int
    lines: list[bytes]
    tick: int

    @property
    def data(self) -> bytes:
        """As it is framed."""
        return b"".join(line + b"\n" for line in self.lines)


def is_exact(line: bytes) -> bool:
    """Return whether whatever the line says can be added up in any order without rounding."""
    samples = parse_line(line, Grammar()).samples
    numbers = [number for sample in samples for number in (sample.value, sample.weight) if isinstance(number, float)]
    return all(number.is_integer() and abs(number) < 1 << 30 for number in (number * 1024 for number in numbers))


def exact_lines() -> st.SearchStrategy[bytes]:
    """Return lines of all sorts, whose numbers add up to the same in every order."""
    return lines().filter(is_exact)


@st.composite
def chunks(draw: st.DrawFn) -> list[Chunk]:
    """Return what some listeners receive, each chunk at a tick of its own."""
    pool = draw(st.lists(exact_lines(), min_size=1, max_size=8))
    contents = draw(st.lists(st.lists(st.sampled_from(pool), max_size=8), max_size=8))
    return [Chunk(draw(st.integers(0, len(LABELS) - 1)), content, tick) for tick, content in enumerate(contents)]


def expected(received: Iterable[Chunk]) -> Interval:
    """Return the interval of all these lines."""
    interval = Interval(listeners={label: ListenerCounts() for label in LABELS})
    for chunk in received:
        for line in chunk.lines:
            _add_line(interval, LABELS[chunk.listener], line, chunk.tick)
    return interval


def sums(interval: Interval) -> Interval:
    """Return what an interval adds up to, without what came first."""
    return msgspec.structs.replace(interval, met=[])


def first(received: Iterable[Chunk]) -> list[tuple[str, str]]:
    """Return the series of all these lines, by the fields that they are in, as they come."""
    found: dict[tuple[str, str], None] = {}
    for chunk in received:
        for line in chunk.lines:
            for sample in parse_line(line, GRAMMARS.get(LABELS[chunk.listener], Grammar())).samples:
                found.setdefault((FIELDS[sample.kind], sample.series))
    return list(found)


def _add_line(interval: Interval, label: str, line: bytes, tick: int) -> None:
    parsed = parse_line(line, GRAMMARS.get(label, Grammar()))
    counts = interval.listeners[label]
    counts.lines += parsed.what != "empty"
    counts.empty_lines += parsed.what == "empty"
    interval.events += parsed.what == "event"
    interval.service_checks += parsed.what == "service_check"
    interval.bad_tags += parsed.bad_tags
    if parsed.reason:
        interval.bad_lines[parsed.reason] = interval.bad_lines.get(parsed.reason, 0) + 1
    for sample in parsed.samples:
        interval.samples[sample.kind] = interval.samples.get(sample.kind, 0) + 1
        _add_sample(interval, sample, tick)


def _add_sample(interval: Interval, sample: Sample, tick: int) -> None:
    if isinstance(sample.value, str):
        interval.sets.setdefault(sample.series, set()).add(sample.value)
    elif sample.kind == "c":
        fall = min(sample.value, 0.0)
        interval.counters[sample.series] = interval.counters.get(sample.series, 0.0) + (sample.value - fall)
        if fall:
            before = interval.falls.get(sample.series, Fall(0.0, 0))
            interval.falls[sample.series] = before.plus(Fall(fall, 1))
    elif sample.kind == "g":
        append_change(interval.gauges.setdefault(sample.series, []), (tick, sample.relative, sample.value))
    else:
        of_kind = interval.times if sample.kind == "ms" else interval.distributions
        of_kind.setdefault(sample.series, Values()).add(packed((sample.value,)), 1, sample.weight)


def came(weights: Mapping[float, float], rate: float = 1.0) -> Values:
    """Return values with these weights, each time standing for ``rate`` events, or once if that is no whole number."""
    values = Values()
    for value, weight in weights.items():
        times = float(weight) / rate
        values.add(packed((value,)), *((int(times), rate) if times.is_integer() else (1, weight)))
    return values


def weights_of(values: Values) -> dict[float, float]:
    """Return the weight of each value."""
    counted = values.counted()
    return dict(zip(counted.values, counted.weights, strict=True))
