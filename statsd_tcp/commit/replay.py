"""What a dead worker's journal still holds, read as the worker would have read it, in pieces.

quick      many frames at once, as a worker reads them
careful    frame by frame; each is named before anything is done with it, so that one that ends this process is known
skip       one frame, of which nothing is made: its lines are kept aside
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

import msgspec

from statsd_tcp.aggregate.batches import BatchSum, BatchTally, Brought
from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.examples import Example
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.tally import tally_for
from statsd_tcp.ledger.cells import JOURNAL_HEAD, JOURNAL_RELEASED
from statsd_tcp.ledger.journal import Frame, read_frames
from statsd_tcp.ledger.layout import LedgerError
from statsd_tcp.ledger.reader import LedgerReader, ShrunkError

__all__ = ["PIECE_BYTES", "PIECE_SECONDS", "Mode", "Replay", "Skipped", "replay", "replay_carefully", "skip_frame"]

PIECE_BYTES = 1 << 20
PIECE_SECONDS = 0.5
"""A piece of a journal ends after the first frame that reaches one of these. So a full journal is about ten pieces:
what starting a process for each costs stays below what reading takes."""

Mode = Literal["quick", "careful", "skip"]

_NOTHING = encode(Interval())


class Skipped(msgspec.Struct, frozen=True):
    """Which lines were left out: how many, their listener, and the file that has them, or why none has."""

    lines: int
    listener: str
    kept: str = ""
    why_not: str = ""


class Replay(msgspec.Struct, frozen=True):
    """What reading a journal from ``start`` to ``end`` gave: an interval, encoded.

    ``fault`` says in words why there is nothing to read after ``end``, though the journal goes on there; it is empty
    when that can be read. ``overwritten`` are bytes before ``end`` that are gone, because the store is
    older than the journal. ``examples``: some of the lines that were rejected. ``batches`` are not in the payload.
    ``whole``: nothing before ``end`` was left out.
    """

    start: int
    end: int
    payload: bytes = _NOTHING
    fault: str = ""
    skipped: Skipped | None = None
    overwritten: int = 0
    examples: tuple[Example, ...] = ()
    batches: Brought = Brought()
    whole: bool = True


class _Tallies:
    """What frames are added up by: their lines all together, and each batch for itself."""

    def __init__(self, listeners: Sequence[tuple[str, str]]) -> None:
        try:
            self.lines = tally_for(listeners)
        except (LookupError, ValueError):
            raise LedgerError("its directory is damaged: it names a grammar that there is not") from None
        self.batches = BatchTally(tally_for(listeners))
        self.sums: list[BatchSum] = []

    def add(self, frame: Frame) -> None:
        """Add the lines of a frame."""
        if frame.batch is None:
            self.lines.add(frame.listener, frame.lines, frame.tick)
        else:
            self.sums.append(self.batches.judge(frame.listener, frame.batch, frame.lines, frame.tick).sum)
        self.add_received(frame)

    def add_received(self, frame: Frame) -> None:
        """Count what is known of a frame without a look at its lines."""
        self.lines.received(frame.listener, frame.received)
        self.lines.datagrams(frame.listener, frame.datagrams)


class _Piece:
    """Frames from ``start`` on, up to ``until`` or the journal's end, as many as belong to one piece.

    ``stop`` is an offset after which the piece ends early. There is at least one frame, if any can be read.
    """

    def __init__(
        self, ledger: LedgerReader, start: int, until: int | None, stop: int | None, clock: Callable[[], float]
    ) -> None:
        self.listeners = ledger.directory.listeners
        self.end = start
        self.fault = ""
        self.overwritten = 0
        self._ledger = ledger
        self._until = until
        self._start = start
        self._stop = start + PIECE_BYTES if stop is None else stop
        self._clock = clock

    def __iter__(self) -> Iterator[Frame]:
        deadline = self._clock() + PIECE_SECONDS
        head = self._start
        try:
            released = self._ledger.cell(JOURNAL_RELEASED)
            head = self._ledger.cell(JOURNAL_HEAD) if self._until is None else self._until
            # An offset that is damaged must not cost the frames before it.
            nearest = min(head, self._start + len(self._ledger.ring))
            for frame in read_frames(self._ledger.ring, self._start, nearest):
                if frame.listener >= len(self.listeners):
                    break
                yield frame
                self.end = frame.next
                if self.end >= self._stop or self._clock() >= deadline:
                    return
        except ShrunkError as error:
            self.fault = str(error)
        else:
            self._judge(head, released)

    def result(self, tallies: _Tallies, skipped: Skipped | None = None) -> Replay:
        """Return what came of it, with what the tallies made of the frames."""
        payload = encode(tallies.lines.take())
        examples = tallies.lines.examples.take() + tallies.batches.examples.take()
        whole = skipped is None and not self.overwritten
        brought = Brought(tuple(tallies.sums))
        return Replay(self._start, self.end, payload, self.fault, skipped, self.overwritten, examples, brought, whole)

    def _judge(self, head: int, released: int) -> None:
        """Note why there is no further frame.

        What was released may be overwritten, by a frame that was never finished too. Only a store that was put back
        still wants it. After it is what no store has.
        """
        if self.end < released <= head <= released + len(self._ledger.ring):
            self.overwritten, self.end = released - self.end, released
        elif self.end < head:
            self.fault = f"{head - self.end} bytes of its journal are damaged"


def replay(
    ledger: LedgerReader,
    start: int,
    until: int | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Replay:
    """Read a piece after the committed offset ``start``, up to ``until`` or the end of all.

    The writer must be dead, or have gone beyond ``until`` and have nothing released after ``start``. Only whole frames
    count. Frames of listeners that the directory does not name end the replay as damaged ones do.
    """
    piece = _Piece(ledger, start, until, None, clock)
    tallies = _Tallies(piece.listeners)
    for frame in piece:
        tallies.add(frame)
    return piece.result(tallies)


def replay_carefully(
    ledger: LedgerReader,
    start: int,
    until: int | None,
    stop: int | None,
    note: Callable[[int | None], object],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Replay:
    """Do the same frame by frame: call ``note`` with the offset of each before it is read, and with None after it.

    It has the frame's bytes by then. What remains is to sum them up: should that be what ends the process, the first
    one is to be tried alone, and so ``start`` is noted once more. The piece ends after the first frame that reaches
    ``stop``.
    """
    piece = _Piece(ledger, start, until, stop, clock)
    tallies = _Tallies(piece.listeners)
    for frame in piece:
        note(piece.end)
        tallies.add(frame)
        tallies.lines.read()
        note(None)
    note(start)
    return piece.result(tallies)


def skip_frame(
    ledger: LedgerReader,
    start: int,
    until: int | None,
    keep: Callable[[bytes], tuple[str, str]],
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Replay:
    """Leave one frame out; ``keep`` gets its lines, and returns where they are, or why they are nowhere.

    What is known of it without a look at its lines is counted.
    """
    piece = _Piece(ledger, start, until, start, clock)
    tallies, skipped = _Tallies(piece.listeners), None
    for frame in piece:
        skipped = Skipped(frame.lines.count(b"\n"), piece.listeners[frame.listener][0], *keep(frame.lines))
        tallies.add_received(frame)
    return piece.result(tallies, skipped)
