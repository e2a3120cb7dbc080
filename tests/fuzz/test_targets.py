"""A short run of every fuzz target, and that each of them notices what is wrong. ``make fuzz`` runs them for long."""

from __future__ import annotations

import socket
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp import native
from statsd_tcp.aggregate.sums import new_sums
from statsd_tcp.commit import replay
from statsd_tcp.ingest import proxy_header
from statsd_tcp.ingest.datagrams import read_datagrams
from statsd_tcp.ingest.intake import Intake
from statsd_tcp.ledger.journal import Journal
from statsd_tcp.who.table import SourceTable
from statsd_tcp.wire.framing import LineFramer
from statsd_tcp.wire.line import Parsed
from tests.fuzz import chunks, datagrams, headers, lines, replays, rings, segments, sources
from tests.fuzz.target import NAMES, Target, find_target
from tests.unit.ingest import loopback

SHORTLY = {
    "lines": 150,
    "chunks": 60,
    "headers": 3000,
    "rings": 300,
    "datagrams": 300,
    "segments": 60,
    "replays": 80,
    "sources": 150,
}
"""Inputs of each, about a second of work."""

WITHOUT = None if native.BUILT else "the parts in C were not built"


class ShortRunTests(SynchronousTestCase):
    """Each target, the same inputs every time."""

    def run_shortly(self, name: str) -> None:
        """Try the first inputs."""
        target = find_target(name)
        self.assertEqual(name, target.name)
        for seed in range(SHORTLY[name]):
            target.try_seed(seed)

    def test_lines(self) -> None:
        """Framing, grammar and tally do what the oracle says, and sums in C add up as Python does."""
        self.run_shortly("lines")

    def test_chunks(self) -> None:
        """Streams in any pieces leave the same behind both lanes."""
        self.run_shortly("chunks")

    def test_headers(self) -> None:
        """Headers of the PROXY protocol are read alike, whole and in parts."""
        self.run_shortly("headers")

    def test_rings(self) -> None:
        """Frames that C writes are those that Python writes, to the last byte, wherever in the ring."""
        self.run_shortly("rings")

    def test_datagrams(self) -> None:
        """Datagrams of any size are read alike."""
        self.run_shortly("datagrams")

    def test_segments(self) -> None:
        """Datagrams that come several at once are told apart."""
        self.run_shortly("segments")

    def test_replays(self) -> None:
        """A journal that is replayed gives what its worker had."""
        self.run_shortly("replays")

    def test_sources(self) -> None:
        """Sources are counted alike, and within their bounds."""
        self.run_shortly("sources")

    def test_all(self) -> None:
        """There is a short run of all of them."""
        self.assertEqual(set(NAMES), set(SHORTLY))

    def test_same_input(self) -> None:
        """A seed gives the same input every time."""
        for name in NAMES:
            target = find_target(name)
            self.assertEqual(repr(target.made_of(5)), repr(target.made_of(5)))


class CorpusTests(SynchronousTestCase):
    """What once failed, or is worth a try."""

    def test_corpus(self) -> None:
        """Every input of the corpus is read as it should be, in pieces of every size that it may ask for."""
        corpus = lines.read_corpus()
        self.assertGreater(len(corpus), 5)
        for data in corpus:
            for size in (0, 1, 6, 255):
                lines.check(bytes([size]) + data[1:])

    def test_no_input(self) -> None:
        """No input at all is fine."""
        lines.check(b"")


class NoticedTests(SynchronousTestCase):
    """A target that finds nothing would be of no use."""

    def assert_noticed(self, target: Target) -> None:
        """Expect that one of the first inputs fails; some mistakes are noticed by a wait that is in vain."""
        self.patch(loopback, "PATIENCE", 1.0)
        for seed in range(40):
            try:
                target.try_seed(seed)
            except AssertionError:
                return
        self.fail("it was not noticed")

    def test_wrong_verdict(self) -> None:
        """A line that is read wrongly."""
        self.patch(lines, "parse_line", lambda line, grammar: Parsed("bad", (), "malformed_value"))
        self.assert_noticed(lines.TARGET)

    def test_lost_line(self) -> None:
        """A stream that loses its last line."""
        self.patch(LineFramer, "finish", lambda self, *, clean: b"")
        self.assert_noticed(lines.TARGET)
        self.assert_noticed(chunks.TARGET)

    def test_lossy_sums(self) -> None:
        """Sums that lose a line."""
        original = new_sums

        class Lossy:
            def __init__(self, *given: int) -> None:
                self._sums = original(*given)

            def add(self, chunk: bytes) -> list[bytes]:
                return self._sums.add(chunk)[1:]

            def __getattr__(self, name: str) -> Any:
                return getattr(self._sums, name)

        self.patch(lines, "new_sums", Lossy)
        self.assert_noticed(lines.TARGET)

    def test_other_frames(self) -> None:
        """Frames that differ in a byte, or lie elsewhere."""

        class Shifted(Journal):
            def append(self, listener: int, lines: bytes, tick: int, received: int, datagrams: int = 0) -> None:
                super().append(listener, lines, tick, received, datagrams + (not self.head % 7))

        self.patch(rings, "Journal", Shifted)
        self.assert_noticed(rings.TARGET)

    def test_other_lane(self) -> None:
        """A lane that tells the tally too little."""
        original = Intake.took

        def forgetful(self: Intake, listener: int, taken: Any, gauges: Any, received: int, origins: bytes) -> None:
            original(self, listener, taken[1:], gauges, received, origins)

        self.patch(Intake, "took", forgetful)
        self.assert_noticed(chunks.TARGET)

    def test_other_headers(self) -> None:
        """A header whose checksum is not looked at."""
        self.patch(proxy_header, "_crc32c_fits", lambda header, place: True)
        for seed in range(3000):
            try:
                headers.TARGET.try_seed(seed)
            except AssertionError:
                return
        self.fail("it was not noticed")

    def test_other_datagrams(self) -> None:
        """A datagram that lacks its newline."""

        def careless(port: socket.socket, most: int, buffer: memoryview, *sizes: int) -> tuple[int | bytes, ...]:
            largest = sizes[1]
            try:
                size = port.recv_into(buffer, largest, socket.MSG_DONTWAIT | socket.MSG_TRUNC)
            except OSError as error:
                return 0, 0, 0, 0, error.errno or 0, b""
            return 1, min(size, largest), size, 0, 0, b""

        self.patch(datagrams, "read_datagrams", careless)
        self.assert_noticed(datagrams.TARGET)

    def test_other_segments(self) -> None:
        """Datagrams that came at once and are taken for one."""
        self.patch(segments, "read_segments", read_datagrams)
        self.assert_noticed(segments.TARGET)

    def test_other_sources(self) -> None:
        """A record that does not say by how much it may be wrong."""
        original = SourceTable._begin
        self.patch(SourceTable, "_begin", lambda table, at, source, err: original(table, at, source, 0 * err))
        self.assert_noticed(sources.TARGET)

    def test_other_replay(self) -> None:
        """A replay that does not count what was received."""
        self.patch(replay._Tallies, "add_received", lambda tallies, frame: None)
        self.assert_noticed(replays.TARGET)

    for _test in (test_lossy_sums, test_other_frames, test_other_lane, test_other_headers, test_other_datagrams):
        if WITHOUT:
            _test.skip = WITHOUT  # type: ignore[attr-defined]
