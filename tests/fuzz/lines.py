"""Framing, grammar and tally against an oracle, and the tally with the sums in C against the one without.

An input is a stream of bytes after one byte that says in which pieces it arrives: one of the corpus that was spoilt, or
lines made by chance. An input that failed belongs into the corpus.
"""

from __future__ import annotations

import random
from functools import partial
from math import isclose
from pathlib import Path
from typing import Final

from statsd_tcp.aggregate.encoding import decode, encode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.sums import BUILT, NewSums, new_sums
from statsd_tcp.aggregate.tally import Tally
from statsd_tcp.wire.framing import LineFramer
from statsd_tcp.wire.grammar import Grammar
from statsd_tcp.wire.line import Parsed, parse_line
from statsd_tcp.wire.reasons import LINE_TOO_LONG
from tests.fuzz.material import chunk_of
from tests.fuzz.target import Target, same
from tests.unit.wire.oracle import oracle

__all__ = ["CORPUS", "TARGET", "check", "read_corpus"]

CORPUS: Final = Path(__file__).with_name("corpus")

# Short, so that a short input can have lines that are too long.
_GRAMMAR: Final = Grammar(max_line=100)


def check(data: bytes) -> None:
    """Raise an error if something is wrong with the reading of this input."""
    stream = data[1:]
    lines = stream.split(b"\n")
    if not lines[-1]:
        lines.pop()
    verdicts = [parse_line(line, _GRAMMAR) for line in lines]
    for line, verdict in zip(lines, verdicts, strict=True):
        _compare(line, verdict)
    size = data[0] + 1 if data else 1
    interval, _ = _received(stream, size)
    _add_up(interval, verdicts)
    same("encoded and decoded", interval, decode(encode(interval)))
    if BUILT:
        _compare_sums(stream, size, verdicts)


def _compare(line: bytes, verdict: Parsed) -> None:
    expected = oracle(line, _GRAMMAR.max_line)
    samples = tuple([(sample.kind, sample.value, sample.weight, sample.relative) for sample in verdict.samples])
    if (verdict.reason or "", samples) != (expected.reason, expected.samples if not expected.reason else ()):
        raise AssertionError(f"{line!r} is {verdict}, not {expected}")


def _received(stream: bytes, size: int, new: NewSums | None = None) -> tuple[Interval, Interval]:
    """Return the intervals of two connections that send this stream in pieces of that size, one after the other."""
    tally = Tally(_GRAMMAR, ["fuzz"], new_sums=new)
    return _one(tally, stream, size), _one(tally, stream, size)


def _one(tally: Tally, stream: bytes, size: int) -> Interval:
    framer = LineFramer(_GRAMMAR.max_line)
    for begin in range(0, len(stream), size):
        tally.add(0, framer.feed(stream[begin : begin + size]), begin)
    tally.add(0, framer.finish(clean=True), len(stream))
    tally.reject(0, LINE_TOO_LONG, framer.line_too_long)
    return tally.take()


def _compare_sums(stream: bytes, size: int, verdicts: list[Parsed]) -> None:
    """Compare what sums in C make of the stream when they know nothing, and when they have learnt its shapes."""
    slack = 1e-12 * sum(
        abs(sample.value * sample.weight)
        for verdict in verdicts
        for sample in verdict.samples
        if sample.kind == "c" and isinstance(sample.value, float)
    )
    # Sums that know few shapes have to forget.
    for known in (1 << 16, 3):
        pairs = zip(_received(stream, size), _received(stream, size, partial(new_sums, size, known)), strict=True)
        for without, having in pairs:
            before, after = without.counters, having.counters
            same("counters", before.keys(), after.keys())
            for series, number in before.items():
                # Added up in another order, which the last bits of fractions show.
                if not isclose(number, after[series], rel_tol=1e-12, abs_tol=slack):
                    raise AssertionError(f"{series!r} is {after[series]!r} with sums in C, not {number!r}")
            having.counters = before
            same("with sums in C", without, having)


def _add_up(interval: Interval, verdicts: list[Parsed]) -> None:
    """Compare what can be counted: lines, samples by kind, bad lines by reason."""
    counts = interval.listeners["fuzz"]
    found = {
        "lines": counts.lines,
        "empty": counts.empty_lines,
        "bad_tags": interval.bad_tags,
        "event": interval.events,
        "service_check": interval.service_checks,
        **interval.samples,
        **interval.bad_lines,
    }
    expected: dict[str, int] = {}
    for verdict in verdicts:
        words = [verdict.reason or verdict.what, *[sample.kind for sample in verdict.samples]]
        for word in ["lines"] * (verdict.what != "empty") + ["bad_tags"] * verdict.bad_tags + words:
            expected[word] = expected.get(word, 0) + 1
    expected.pop("samples", None)
    if {word: count for word, count in found.items() if count} != expected:
        raise AssertionError(f"counted {found}, not {expected}")


def read_corpus(folder: Path = CORPUS) -> list[bytes]:
    """Return the inputs in a folder, in the order of their names."""
    return [path.read_bytes() for path in sorted(folder.iterdir()) if path.is_file()]


_KNOWN: Final = read_corpus()


def _make(source: random.Random) -> bytes:
    if source.randrange(2):
        return bytes([source.randrange(256)]) + chunk_of(source, source.randrange(2000))
    return _spoilt(source)


def _spoilt(source: random.Random) -> bytes:
    """Return an input of the corpus with pieces of others in it, bytes changed, doubled, left out."""
    data = bytearray(source.choice(_KNOWN))
    for _ in range(source.randrange(1, 6)):
        at = source.randrange(len(data) + 1)
        other = source.choice(_KNOWN)
        begin = source.randrange(len(other) + 1)
        piece = other[begin : begin + source.randrange(20)]
        data[at : at + source.choice((0, 0, 1, len(piece)))] = source.choice((piece, b"", b"\n", b":", b"|"))
    return bytes(data)


TARGET: Final = Target("lines", _make, check)
