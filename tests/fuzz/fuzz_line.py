"""A fuzz target for framing, grammar and tally.

    python -m tests.fuzz.fuzz_line [--seconds S] [--seed N] [CORPUS]

With the package ``atheris`` installed the fuzzing is guided by coverage; without it the corpus is spoilt at random for
some seconds. An input that fails is printed, to be added to the corpus.

An input is a stream of bytes after one byte that says in which pieces it arrives.
"""

from __future__ import annotations

import argparse
import importlib
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from statsd_tcp.aggregate.encoding import decode, encode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.tally import Tally
from statsd_tcp.wire.framing import LineFramer
from statsd_tcp.wire.grammar import Grammar
from statsd_tcp.wire.line import Parsed, parse_line
from statsd_tcp.wire.reasons import LINE_TOO_LONG
from tests.unit.wire.oracle import oracle

__all__ = ["CORPUS", "check", "read_corpus", "spoil"]

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
    interval = _received(stream, data[0] + 1 if data else 1)
    _add_up(interval, verdicts)
    if decode(encode(interval)) != interval:
        raise AssertionError("the interval is not what it was before it was encoded")


def _compare(line: bytes, verdict: Parsed) -> None:
    expected = oracle(line, _GRAMMAR.max_line)
    samples = tuple([(sample.kind, sample.value, sample.weight, sample.relative) for sample in verdict.samples])
    if (verdict.reason or "", samples) != (expected.reason, expected.samples if not expected.reason else ()):
        raise AssertionError(f"{line!r} is {verdict}, not {expected}")


def _received(stream: bytes, size: int) -> Interval:
    """Return the interval of a connection that sends this stream in pieces of that size."""
    tally, framer = Tally(_GRAMMAR, ["fuzz"]), LineFramer(_GRAMMAR.max_line)
    for begin in range(0, len(stream), size):
        tally.add(0, framer.feed(stream[begin : begin + size]), begin)
    tally.add(0, framer.finish(clean=True), len(stream))
    tally.reject(0, LINE_TOO_LONG, framer.line_too_long)
    return tally.take()


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


def spoil(corpus: list[bytes], source: random.Random) -> Iterator[bytes]:
    """Make inputs of the corpus for ever: pieces of some in others, bytes changed, doubled, left out."""
    while True:
        data = bytearray(source.choice(corpus))
        for _ in range(source.randrange(1, 6)):
            at = source.randrange(len(data) + 1)
            other = source.choice(corpus)
            begin = source.randrange(len(other) + 1)
            piece = other[begin : begin + source.randrange(20)]
            data[at : at + source.choice((0, 0, 1, len(piece)))] = source.choice((piece, b"", b"\n", b":", b"|"))
        yield bytes(data)


def _spoil_for(corpus: list[bytes], seconds: float, seed: int) -> int:
    end = time.monotonic() + seconds
    count = 0
    for data in spoil(corpus, random.Random(seed)):
        try:
            check(data)
        except Exception:
            sys.stderr.write(f"failed after {count} inputs: {data!r}\n")
            raise
        count += 1
        if time.monotonic() > end:
            break
    return count


def main() -> None:
    """Run the corpus, then fuzz."""
    parser = argparse.ArgumentParser(description="Fuzz framing, grammar and tally.")
    parser.add_argument("corpus", nargs="?", type=Path, default=CORPUS)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long (default 10)")
    parser.add_argument("--seed", type=int, default=1, help="without atheris: where chance begins (default 1)")
    options = parser.parse_args()
    corpus = read_corpus(options.corpus)
    for data in corpus:
        check(data)
    try:
        atheris = importlib.import_module("atheris")
    except ImportError:
        count = _spoil_for(corpus, options.seconds, options.seed)
        sys.stdout.write(f"{len(corpus)} inputs of the corpus and {count} spoilt ones are read as they should be\n")
        return
    atheris.instrument_all()
    atheris.Setup([sys.argv[0], f"-max_total_time={options.seconds:.0f}", str(options.corpus)], check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
