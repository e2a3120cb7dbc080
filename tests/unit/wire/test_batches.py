"""Batches on a stream: control lines between lines, whole or refused, however the bytes come."""

from __future__ import annotations

import zlib
from itertools import pairwise
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.wire.batches import (
    LARGEST_BATCH,
    LARGEST_SEQUENCE,
    Batch,
    BatchFramer,
    BatchKey,
    Hello,
    Refusal,
    control_line_in,
)
from statsd_tcp.wire.tails import Tails

CLIENT = bytes(range(16))
HELLO = b"!hello 1 %s\n" % CLIENT.hex().encode()
LINES = b"a:1|c\nb:2|c\n"


def batch(sequence: int, lines: bytes = LINES) -> bytes:
    """Write a batch as clients do."""
    return lines + b"!batch %d %d %08x\n" % (sequence, lines.count(b"\n"), zlib.crc32(lines))


def framer(tails: Tails | None = None) -> tuple[BatchFramer, list[Refusal]]:
    """Make a framer, and the list of what it had to drop."""
    dropped: list[Refusal] = []
    return BatchFramer(tails or Tails(), dropped.append), dropped


def events(data: bytes, *cuts: int) -> list[Any]:
    """Return what comes of data that arrives in parts."""
    one, _ = framer()
    places = [0, *sorted(cuts), len(data)]
    return [event for first, last in pairwise(places) for event in one.feed(data[first:last])]


def without_received(found: list[Any]) -> list[Any]:
    """Leave out what depends on how the bytes came."""
    return [each._replace(received=0) if isinstance(each, Batch) else each for each in found]


class BatchFramerTests(SynchronousTestCase):
    """What clients say, and what is made of it."""

    def test_good(self) -> None:
        """A client says who it is, and each batch is given away with its lines and all bytes that brought it."""
        data = HELLO + batch(1) + batch(3, b"\n!x"[:1] + b"c:!1|c\n")
        expected = [
            Hello(CLIENT),
            Batch(BatchKey(CLIENT, 1), LINES, len(HELLO + batch(1))),
            Batch(BatchKey(CLIENT, 3), b"\nc:!1|c\n", len(batch(3, b"\nc:!1|c\n"))),
        ]
        self.assertEqual(expected, events(data))

    def test_vectors(self) -> None:
        """The checksums of docs/confirm.md are right."""
        lines = b"pages:1|c\nload:320|ms\n\nnonsense\n"
        for text in (
            b"a:1|c\n!batch 1 1 228202f1\n",
            LINES + b"!batch 1 2 6e34aa53\n",
            lines + b"!batch 1 4 30a48fb1\n",
        ):
            self.assertIsInstance(events(HELLO + text)[1], Batch)

    def test_refused(self) -> None:
        """What is no batch is refused for its reason, with its number if that is known, and nothing comes after it."""
        largest = b"a" * (LARGEST_BATCH - 1) + b"\n"
        cases: list[tuple[bytes, int, str]] = [
            (b"!hello 2 %s\n" % CLIENT.hex().encode(), 0, "version"),
            (b"!hello 2\n", 0, "version"),
            (b"!hello 1 %s\n" % CLIENT.hex().upper().encode(), 0, "syntax"),
            (b"!hello 1 abc\n", 0, "syntax"),
            (batch(1)[len(LINES) :], 0, "syntax"),
            (b"!" + b"a" * 200, 0, "syntax"),
            (HELLO + HELLO, 0, "syntax"),
            (HELLO + b"!ping\n", 0, "syntax"),
            (HELLO + LINES + b"!batch 1 2 6E34AA53\n", 0, "syntax"),
            (HELLO + LINES + b"!batch 01 2 6e34aa53\n", 0, "syntax"),
            (HELLO + LINES + b"!batch 1 2 6e34aa53\r\n", 0, "syntax"),
            (HELLO + b"!batch 1 0 00000000\n", 0, "syntax"),
            (HELLO + batch(LARGEST_SEQUENCE + 1), 0, "syntax"),
            (HELLO + LINES + b"!batch 9 3 6e34aa53\n", 9, "lines"),
            (HELLO + LINES + b"!batch 9 2 6e34aa54\n", 9, "crc"),
            (HELLO + batch(2) + batch(2), 2, "order"),
            (HELLO + batch(2) + batch(1), 1, "order"),
            (HELLO + batch(7, b"a" + largest), 7, "size"),
        ]
        for data, sequence, reason in cases:
            found = events(data + batch(99) + batch(100))
            self.assertEqual((sequence, reason), found[-1][:2], data[:80])
            self.assertEqual(1, sum(isinstance(each, Refusal) for each in found))

    def test_too_large_to_wait(self) -> None:
        """What is too large is refused before its control line has come."""
        found = events(HELLO + b"a" * LARGEST_BATCH + b"\n")
        self.assertEqual([(0, "size")], [each[:2] for each in found[1:]])

    def test_limits(self) -> None:
        """The largest batch and the largest number are taken."""
        found = events(HELLO + batch(LARGEST_SEQUENCE, b"a" * (LARGEST_BATCH - 1) + b"\n"))
        self.assertEqual(LARGEST_SEQUENCE, found[1].key.sequence)

    @given(st.lists(st.integers(0, 400)), st.lists(st.binary(max_size=20), max_size=4))
    def test_any_parts(self, cuts: list[int], texts: list[bytes]) -> None:
        """However the bytes come, the same comes of them."""
        data = HELLO + b"".join(batch(n + 1, b"x" + text + b"\n") for n, text in enumerate(texts)) + b"!what\nrest"
        cuts = [cut for cut in cuts if cut < len(data)]
        self.assertEqual(without_received(events(data)), without_received(events(data, *cuts)))

    @given(st.lists(st.sampled_from([HELLO, *(batch(n) for n in range(1, 4)), LINES, b"!", b"\n", b"!batch 1"])))
    def test_bytes(self, pieces: list[bytes]) -> None:
        """Every byte belongs to one batch, or is still counted as one that belongs to none."""
        one, _ = framer()
        taken = sum(event.received for piece in pieces for event in list(one.feed(piece)) if isinstance(event, Batch))
        self.assertEqual(len(b"".join(pieces)), taken + one.take_received())

    def test_together(self) -> None:
        """All that is held in a process has a bound; the longest goes, and is refused."""
        tails = Tails(1000)
        first, dropped = framer(tails)
        second, others = framer(tails)
        self.assertEqual([Hello(CLIENT)], list(first.feed(HELLO + b"a" * 700)))
        self.assertEqual([Hello(CLIENT)], list(second.feed(HELLO + b"b" * 400)))
        self.assertEqual(([(0, "memory")], []), ([each[:2] for each in dropped], others))
        self.assertEqual((400, [], 0), (tails.size, list(first.feed(LINES + batch(1))), len(first)))
        self.assertEqual(
            1, len(list(second.feed(b"\n" + batch(1)[:0] + b"!batch 1 1 %08x\n" % zlib.crc32(b"b" * 400 + b"\n"))))
        )
        self.assertEqual(0, tails.size)

    def test_end(self) -> None:
        """What is held takes no room after the end."""
        tails = Tails()
        one, _ = framer(tails)
        list(one.feed(HELLO + LINES))
        one.end()
        self.assertEqual((0, len(HELLO + LINES)), (tails.size, one.take_received()))


class ControlLineTests(SynchronousTestCase):
    """Control lines among lines of a connection that is none of batches."""

    def test_found(self) -> None:
        """A control line begins a line."""
        for data, at_start, place in (
            (b"!a\n", True, 0),
            (b"!a\n", False, -1),
            (b"a!\n!b\n", False, 3),
            (b"a:1|c\n", True, -1),
            (b"a\n\n!", False, 3),
        ):
            self.assertEqual(place, control_line_in(data, at_start=at_start), data)
