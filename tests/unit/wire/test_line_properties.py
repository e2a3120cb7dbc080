"""Tests of `parse_line` on random lines."""

from __future__ import annotations

import math
import time

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.wire.grammar import DIALECTS, Grammar
from statsd_tcp.wire.line import Parsed, parse_line
from statsd_tcp.wire.numbers import LIMIT
from statsd_tcp.wire.reasons import MALFORMED_LINE, REASONS
from statsd_tcp.wire.series import series_identity, split_identity
from tests.unit.wire import cases
from tests.unit.wire.cases import Case, meaning, wrong
from tests.unit.wire.oracle import Verdict, oracle
from tests.unit.wire.strategies import lines


def as_parsed(verdict: Verdict) -> str:
    """Write down the oracle's verdict as the tables do."""
    if verdict.what == "bad":
        return f"!{verdict.reason}"
    if verdict.what != "samples":
        return verdict.what
    tags = "{" + ",".join(f"{key}={value}" for key, value in verdict.tags) + "}" if verdict.tags else ""
    samples = [
        f"{kind} {verdict.name}{tags}{'+=' if relative else '='}"
        + (value if isinstance(value, str) else f"{value + 0.0:.17g}")
        + ("" if weight == 1.0 else f" x{weight:.17g}")
        for kind, value, weight, relative in verdict.samples
    ]
    bad = f" ({verdict.bad_tags} bad)" if verdict.bad_tags else ""
    return "; ".join(samples) + bad + (f" !{verdict.reason}" if verdict.reason else "")


class OracleTests(SynchronousTestCase):
    """Two readings of one grammar."""

    def test_tables(self) -> None:
        """The oracle itself agrees with the tables."""
        found = {case: as_parsed(oracle(case.line)) for case in cases.ALL}
        self.assertEqual(wrong(found), [])
        packed = DIALECTS["dogstatsd"].packed
        absolute: dict[Case, str] = {
            case: as_parsed(oracle(case.line, signed=False, packed=packed)) for case in cases.ABSOLUTE
        }
        self.assertEqual(wrong(absolute), [])

    @given(lines())
    def test_any_line(self, line: bytes) -> None:
        """Any line means the same to both."""
        self.assertEqual(meaning(parse_line(line, Grammar())), as_parsed(oracle(line)))

    @given(lines(), st.integers(0, 40))
    def test_any_limit(self, line: bytes, max_line: int) -> None:
        """The dialect and the limit of length make the same difference to both."""
        packed = DIALECTS["dogstatsd"].packed
        grammar = Grammar(signed_gauges=False, packed=packed, max_line=max_line)
        expected = as_parsed(oracle(line, max_line, signed=False, packed=packed))
        self.assertEqual(meaning(parse_line(line, grammar)), expected)


class ParseLineProperties(SynchronousTestCase):
    """What holds for every line."""

    def well_formed(self, parsed: Parsed) -> None:
        """Check what every verdict promises."""
        if parsed.what == "bad":
            self.assertIn(parsed.reason, REASONS)
            self.assertEqual((parsed.samples, parsed.bad_tags), ((), 0))
            return
        self.assertIn(parsed.reason, {None, MALFORMED_LINE} if parsed.samples else {None})
        self.assertEqual(bool(parsed.samples), parsed.what == "samples")
        for sample in parsed.samples:
            self.assertEqual(isinstance(sample.value, str), sample.kind == "s")
            self.assertTrue(1.0 <= sample.weight <= LIMIT)
            if not isinstance(sample.value, str):
                self.assertTrue(math.isfinite(sample.value))
                self.assertTrue(abs(sample.value) <= LIMIT or (sample.kind == "g" and not sample.relative))
            name, tags = split_identity(sample.series)
            self.assertTrue(name)
            self.assertEqual(series_identity(name, tags), sample.series)

    @given(lines(), st.sampled_from(tuple(DIALECTS.values())))
    def test_never_raises(self, line: bytes, grammar: Grammar) -> None:
        """Whatever the line, the verdict is a good one or one of the reasons."""
        self.well_formed(parse_line(line, grammar))

    @given(st.binary(max_size=60))
    def test_any_bytes(self, line: bytes) -> None:
        """Nor do bytes at random raise, not even with a newline among them."""
        parse_line(line, Grammar())

    def test_no_quadratic_time(self) -> None:
        """Long lines of repeated pieces are read in a time that grows with their length only: no minutes."""
        grammar = Grammar(max_line=1 << 16)
        begun = time.process_time()
        for piece in (
            b":",
            b"|",
            b"|@",
            b"|#",
            b",",
            b"[",
            b"a:1|c",
            b":1|c",
            b":1",
            b"|s",
            b",k=v",
            b"[a]",
            b"[k=v]",
            b"][",
            b"=,#;[]",
            b"1",
            b"\xc3\xa9",
        ):
            parse_line(b"a:1|c" + piece * (65000 // len(piece)), grammar)
            parse_line(piece * (65000 // len(piece)) + b":1|c", grammar)
            parse_line(b"a:" + piece * (65000 // len(piece)) + b"|c", grammar)
        self.assertLess(time.process_time() - begun, 20.0)
