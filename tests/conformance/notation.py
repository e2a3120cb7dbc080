"""What lines mean, in words short enough for a table, and so plain that every server's outcome can be written in them.

* ``c a=10``: what a sample adds to a counter, its rate applied; ``g a=5`` sets a gauge, ``g a+=-5`` changes it;
* ``ms a=5 x10``: a time that stands for ten; ``h`` and ``d`` likewise; ``s a=member``;
* ``c a{k=v,bare=}=1``: tags in the order of their keys;
* ``c a=1; ms a=2``: several samples; ``bad``: the line, or what is left of it, is rejected, for whatever reason;
* ``event``, ``service check``: seen, and no more; an empty line is nothing;
* ``c a=1 / bad``: the lines one after the other.

Sums of several lines: ``c a=600``, ``g a=120``, ``s a has 2``, ``ms a has 200, 9900``: how many events, and their sum.

Only for others: ``event kept`` and ``service check kept``, with all that they say; ``c a=1 at 1656581400``.
Numbers are rounded to ten digits. Tags that were left out are not told: servers do not agree on what they count.
"""

from __future__ import annotations

from math import fsum

from statsd_tcp.aggregate.gauges import apply_changes
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.wire.line import Parsed
from statsd_tcp.wire.samples import Sample
from statsd_tcp.wire.series import split_identity

__all__ = ["meaning", "sums"]


def meaning(verdicts: list[Parsed]) -> str:
    """Write down what lines mean, one after the other."""
    return " / ".join(_line(verdict) for verdict in verdicts if verdict.what != "empty")


def _line(verdict: Parsed) -> str:
    if verdict.what in {"event", "service_check"}:
        return verdict.what.replace("_", " ")
    return "; ".join([_sample(sample) for sample in verdict.samples] + ["bad"] * (verdict.reason is not None))


def _sample(sample: Sample) -> str:
    weight = f" x{_number(sample.weight)}" if sample.weight != 1.0 and sample.kind != "c" else ""
    value = sample.value if isinstance(sample.value, str) else _number(sample.value)
    return f"{sample.kind} {_series(sample.series)}{'+=' if sample.relative else '='}{value}{weight}"


def _series(identity: str) -> str:
    name, tags = split_identity(identity)
    return name + ("{" + ",".join(f"{key}={value}" for key, value in tags) + "}" if tags else "")


def _number(value: float) -> str:
    return f"{value:.10g}"


def sums(interval: Interval) -> str:
    """Write down what lines add up to, by kind and by name, and how many of them are bad."""
    changes = {name: fall.change(interval.counters[name]) for name, fall in interval.falls.items()}
    counters = sorted((interval.counters | changes).items())
    parts = [f"c {_series(name)}={_number(value)}" for name, value in counters]
    for name, settings in sorted(interval.gauges.items()):
        parts.append(f"g {_series(name)}={_number(apply_changes(0.0, 0.0, settings)[0])}")
    for kind, timers in (("ms", interval.times), ("h", interval.distributions)):
        for name, values in sorted(timers.items()):
            counted = values.counted()
            events, total = _number(fsum(counted.weights)), _number(fsum(counted.scaled()))
            parts.append(f"{kind} {_series(name)} has {events}, {total}")
    parts += [f"s {_series(name)} has {len(members)}" for name, members in sorted(interval.sets.items())]
    return "; ".join(parts + ["bad"] * sum(interval.bad_lines.values()))
