"""Numbers by chance: what comes out as lines is what went in, and it is no more than there was room for."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from statsd_tcp.wire.grammar import Grammar, named
from statsd_tcp.wire.line import parse_line
from statsd_tcp_client.numbers import Numbers
from statsd_tcp_client.text import sections

NAMES = st.sampled_from(["a", "b.c", "%d", "é", "n" * 300])
TAGS = st.sampled_from([(), ("x:1",), ("y", "z:ü:2")])
RATES = st.sampled_from([1, 0.5, 0.1])
VALUES = st.one_of(st.integers(-(2**52), 2**52), st.floats(-1e15, 1e15))

CALLS = st.lists(
    st.one_of(
        st.tuples(st.just("count"), NAMES, VALUES, RATES, TAGS),
        st.tuples(st.sampled_from(["ms", "h", "d"]), NAMES, VALUES, RATES, TAGS),
        st.tuples(st.just("s"), NAMES, st.sampled_from(["u", "v:w", "x" * 200]), RATES, TAGS),
        st.tuples(st.just("g"), NAMES, VALUES, RATES, TAGS),
    ),
    max_size=40,
)


def record(numbers: Numbers, call: tuple[Any, ...]) -> None:
    """Make a call."""
    kind, name, value, rate, tags = call
    if kind == "count":
        numbers.count(name, value, sections(rate, tags), rate)
    elif kind == "s":
        numbers.add_member(name, value, sections(rate, tags))
    elif kind == "g":
        numbers.set_gauge(name, value, sections(rate, tags), sections(1, tags))
    else:
        numbers.measure(name, value, kind, sections(rate, tags), rate)


@given(CALLS, st.sampled_from(["etsy", "dogstatsd"]), st.sampled_from(["", "p."]), st.sampled_from(["", "|#env:t"]))
def test_room(calls: list[tuple[Any, ...]], dialect: str, prefix: str, tags: str) -> None:
    """Lines take no more bytes than the numbers had taken, counters with sums beyond 2^53 aside, and none is lost."""
    numbers = Numbers(20_000, prefix=prefix, tags=tags, dialect=dialect)
    for call in calls:
        record(numbers, call)
    made = numbers.made
    assert made + numbers.dropped["full"] + numbers.dropped["bad_value"] == len(calls)
    taken = 20_000 - numbers.room
    pieces = [piece for series in numbers.take() for piece in series.pieces()]
    assert sum(piece.made for piece in pieces) == made
    # A sum beyond 2^53 takes a line for each 2^53.
    assert sum(len(piece.data) for piece in pieces if piece.made) <= taken
    assert numbers.room == 20_000


@given(CALLS, st.sampled_from(["etsy", "dogstatsd"]))
def test_meaning(calls: list[tuple[Any, ...]], dialect: str) -> None:
    """The service reads every line without a fault, and finds each value that was observed, and the sum of counters."""
    numbers = Numbers(10**7, dialect=dialect)
    wanted: Counter[tuple[str, str, float]] = Counter()
    sums: defaultdict[str, float] = defaultdict(float)
    for call in calls:
        record(numbers, call)
        kind, name, value, rate, _ = call
        if kind in {"s", "g"} or abs(value) >= 2**53 * rate:
            continue
        if kind == "count":
            sums[name] += value / rate
        else:
            wanted[kind, name, float(f"{value:.6f}") if kind == "ms" else value] += 1
    grammar = named("dogstatsd") if dialect == "dogstatsd" else Grammar()
    found: Counter[tuple[str, str, float]] = Counter()
    for series in numbers.take():
        for line in b"".join(piece.data for piece in series.pieces()).splitlines():
            parsed = parse_line(line, grammar)
            assert (parsed.reason, parsed.bad_tags) == (None, 0), line
            for sample in parsed.samples:
                name = sample.series.partition("\n")[0]
                if sample.kind in {"ms", "h", "d"}:
                    found[sample.kind, name, float(sample.value)] += 1
                elif sample.kind == "c":
                    sums[name] -= float(sample.value)
    assert found == wanted
    assert all(abs(rest) <= 1e-6 * 2**53 for rest in sums.values())
