"""Framing, grammar and tally against an oracle, and the tally with the sums in C against the one without.

An input is a stream of bytes after one byte that says in which pieces it arrives, and which limits there are. It is one
of the corpus that was spoilt, or lines made by chance. An input that failed belongs into the corpus.
"""

from __future__ import annotations

import random
from functools import partial
from pathlib import Path
from typing import Final

from statsd_tcp.aggregate.encoding import decode, encode
from statsd_tcp.aggregate.firsts import FIELDS
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.sums import BUILT, new_sums
from statsd_tcp.aggregate.tally import Tally
from statsd_tcp.wire.framing import LineFramer
from statsd_tcp.wire.grammar import Grammar
from statsd_tcp.wire.line import Parsed, parse_line
from statsd_tcp.wire.reasons import LINE_TOO_LONG
from statsd_tcp.wire.tails import Tails
from tests.fuzz.material import chunk_of, many_series
from tests.fuzz.target import Target, same
from tests.unit.wire.oracle import oracle

__all__ = ["CORPUS", "TARGET", "check", "read_corpus"]

CORPUS: Final = Path(__file__).with_name("corpus")

# One is short, so that a short input can have lines that are too long.
_GRAMMARS: Final = (Grammar(max_line=100), Grammar(max_line=2000))

# Sums in C that know few shapes have to forget some.
_KNOWN_SHAPES: Final = (1 << 16, 3, 600)

_APART: Final = 10_000_000
"""Nanoseconds between two pieces, for each byte of them: what comes at about the same time counts as one."""


def check(data: bytes) -> None:
    """Raise an error if something is wrong with the reading of this input."""
    number, stream = data[0] if data else 0, data[1:]
    grammar = _GRAMMARS[number % len(_GRAMMARS)]
    lines = stream.split(b"\n")
    if not lines[-1]:
        lines.pop()
    verdicts = [parse_line(line, grammar) for line in lines]
    for line, verdict in zip(lines, verdicts, strict=True):
        _compare(line, verdict, grammar)
    intervals = _received(Tally([("fuzz", grammar)]), stream, number + 1, grammar)
    _add_up(intervals[0], verdicts)
    met = [(first.field, first.identity) for first in intervals[0].met]
    samples = [sample for verdict in verdicts for sample in verdict.samples]
    same("what came first", list(dict.fromkeys((FIELDS[one.kind], one.series) for one in samples)), met)
    same("encoded and decoded", intervals[0], decode(encode(intervals[0])))
    if BUILT:
        known = _KNOWN_SHAPES[number % len(_KNOWN_SHAPES)]
        tally = Tally([("fuzz", grammar)], new_sums=partial(new_sums, len(data), known))
        for without, having in zip(intervals, _received(tally, stream, number + 1, grammar), strict=True):
            same("with sums in C", without, having)


def _compare(line: bytes, verdict: Parsed, grammar: Grammar) -> None:
    expected = oracle(line, grammar.max_line)
    samples = tuple([(sample.kind, sample.value, sample.weight, sample.relative) for sample in verdict.samples])
    if (verdict.reason or "", samples) != (expected.reason, expected.samples):
        raise AssertionError(f"{line!r} is {verdict}, not {expected}")


def _received(tally: Tally, stream: bytes, size: int, grammar: Grammar) -> list[Interval]:
    """Return the intervals of connections that send all of a stream, halves of it, and all, in pieces of that size.

    Sums in C know no shape at first, then all, then some of which nothing came lately.
    """
    half = len(stream) // 2
    taken = []
    for part in (stream, stream[:half], stream[half:], stream):
        framer = LineFramer(grammar.max_line, Tails())
        for begin in range(0, len(part), size):
            tally.add(0, framer.feed(part[begin : begin + size]), begin * _APART)
        tally.add(0, framer.finish(clean=True), len(part) * _APART)
        tally.reject(0, LINE_TOO_LONG, framer.line_too_long)
        taken.append(tally.take())
    return taken


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
    number, kind = bytes([source.randrange(256)]), source.randrange(20)
    if kind == 0:
        return number + many_series(source)
    if kind < 10:
        return number + chunk_of(source, source.randrange(2000), exact=False)
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
