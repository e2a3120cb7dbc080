"""A journal that is replayed, in pieces, against the tally of the worker that wrote it.

The worker's tally has the sums in C where they were built, the replay never has. Numbers are such that all sums are
exact, in whatever order they are added up.
"""

from __future__ import annotations

import os
import random
import tempfile
from functools import partial
from pathlib import Path
from typing import Final, NamedTuple

from statsd_tcp.aggregate.encoding import decode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.sums import BUILT, new_sums
from statsd_tcp.aggregate.tally import tally_for
from statsd_tcp.commit.replay import Replay, replay, replay_carefully
from statsd_tcp.ledger.cells import JOURNAL_HEAD, JOURNAL_RELEASED, ledger_cells
from statsd_tcp.ledger.file import LedgerMap, create_ledger
from statsd_tcp.ledger.journal import FRAME_HEAD, Journal
from statsd_tcp.ledger.layout import Directory
from statsd_tcp.ledger.reader import LedgerReader
from tests.fuzz.material import chunk_of
from tests.fuzz.target import Target, same
from tests.unit.aggregate.model import sums
from tests.unit.ledger.cases import BOOT_ID, LISTENERS

__all__ = ["TARGET", "Given"]


class Given(NamedTuple):
    """Frames (listener, lines, datagrams) written from ``head`` on; how many are committed; how the others are read.

    ``damaged``: the bit of the last frame that is wrong; -1: none.
    """

    ring: int
    head: int
    frames: list[tuple[int, bytes, int]]
    committed: int
    stop: int
    careful: bool
    damaged: int


def _make(source: random.Random) -> Given:
    ring = 4096 * source.randrange(1, 17)
    frames: list[tuple[int, bytes, int]] = []
    room = ring
    for _ in range(source.randrange(30)):
        lines = chunk_of(source, source.choice((1, 100, 100, 3000)))
        room -= len(lines) + FRAME_HEAD + 7
        if room < 0:
            break
        frames.append((source.randrange(len(LISTENERS)), lines, source.randrange(3)))
    committed = source.randrange(len(frames) + 1)
    head = 8 * source.randrange(ring // 8) + ring * source.choice((0, 1, source.randrange(1 << 30)))
    damaged = -1
    if committed < len(frames) and not source.randrange(3):
        # Not in the last four bytes of the head, which say nothing.
        damaged = source.choice((source.randrange(28 * 8), 32 * 8 + source.randrange(8 * len(frames[-1][1]))))
    return Given(ring, head, frames, committed, source.choice((1, 300, 1 << 20)), not source.randrange(2), damaged)


def _check(given: Given) -> None:
    with tempfile.TemporaryDirectory(prefix="statscounter-fuzz-") as folder:
        directory = Directory(ledger_cells([label for label, _ in LISTENERS]), LISTENERS)
        path = create_ledger(Path(folder), 3, directory, created=1234, boot_id=BOOT_ID, ring_size=given.ring)
        descriptor = os.open(path, os.O_RDWR)
        writer = LedgerMap(descriptor, str(path), writable=True)
        os.close(descriptor)
        reader = LedgerReader.open(path)
        try:
            _compare(given, writer, reader)
        finally:
            reader.close()
            writer.close()


def _compare(given: Given, writer: LedgerMap, reader: LedgerReader) -> None:
    starts = _write(given, writer)
    found, start = _tallied(given.frames[: given.committed]), starts[given.committed]
    fault = ""
    while start < starts[-1] and not fault:
        piece = _read(given, reader, start)
        found.add(decode(piece.payload))
        fault = piece.fault
        same("whether it goes on", True, piece.end > start or bool(fault))
        start = piece.end
    readable = len(given.frames) - (given.damaged >= 0)
    same("whether something is damaged", given.damaged >= 0, bool(fault))
    same("end", starts[readable], start)
    # Some listeners' frames come at the same time, and have no order.
    same("interval", sums(_tallied(given.frames[:readable])), sums(found))


def _write(given: Given, writer: LedgerMap) -> list[int]:
    """Write the frames, and return where each begins, and where the last one ends."""
    writer.cells[JOURNAL_HEAD] = writer.cells[JOURNAL_RELEASED] = given.head
    journal = Journal(writer.ring, writer.cells)
    starts = [journal.head]
    for tick, (listener, lines, datagrams) in enumerate(given.frames):
        same("room", True, journal.room() >= len(lines))
        journal.append(listener, lines, tick, len(lines), datagrams)
        starts.append(journal.head)
    if given.damaged >= 0:
        byte, bit = divmod(given.damaged, 8)
        writer.ring[(starts[-2] + byte) % given.ring] ^= 1 << bit
    return starts


def _tallied(frames: list[tuple[int, bytes, int]]) -> Interval:
    """Return what a worker makes of these frames, which takes its tally now and then."""
    tally = tally_for(LISTENERS, new_sums=partial(new_sums, 1) if BUILT else None)
    whole = Interval()
    for tick, (listener, lines, datagrams) in enumerate(frames):
        tally.add(listener, lines, tick)
        tally.received(listener, len(lines))
        tally.datagrams(listener, datagrams)
        if not tick % 5:
            whole.add(tally.take())
    whole.add(tally.take())
    return whole


def _read(given: Given, reader: LedgerReader, start: int) -> Replay:
    if given.careful:
        return replay_carefully(reader, start, None, start + given.stop, lambda offset: None)
    return replay(reader, start)


TARGET: Final = Target("replays", _make, _check)
