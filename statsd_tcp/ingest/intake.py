"""Where every received byte goes in a worker: first into the journal, then, batch by batch, into the tally.

All lanes and protocols of a worker share one `Intake`. It is on the hot path: one call per ``recv`` that brought
complete lines, nothing per line.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from statsd_tcp.ingest.frame_origins import FrameOrigins
from statsd_tcp.ingest.limits import ListenerLimits
from statsd_tcp.ingest.sources import UNKNOWN, WorkerSources, packed_address
from statsd_tcp.ledger.journal import BATCH_OVERHEAD, Journal
from statsd_tcp.wire.batches import LARGEST_BATCH, MOST_UNDER_WAY, BatchKey
from statsd_tcp.wire.grammar import DEFAULT_MAX_LINE, LARGEST_PACKET
from statsd_tcp.wire.samples import GAUGE_MARK, SPACE, SPACED_MARK
from statsd_tcp.wire.tails import Tails

__all__ = ["RESERVE", "SHARE", "Intake", "LineTally"]

_LARGEST_READ = 1 << 16
"""Bytes that a single read can bring, at most. An unfinished line comes before them."""

_MOST_BATCHES = LARGEST_BATCH + _LARGEST_READ + MOST_UNDER_WAY * BATCH_OVERHEAD
"""Bytes of the journal that the batches take which a single read completes, at most."""

RESERVE = 4
"""One part in this many of the journal is reserved: connections that stay and send much cannot use it. A few of them
can send more than the store takes; all other clients would then wait for as long as a commit lasts."""

SHARE = 1 << 16
"""Bytes that a connection may bring between two commits while only the reserve is left, or a new one until it stays."""


class LineTally(Protocol):
    """What the intake needs of a tally."""

    def add(self, listener: int, chunk: bytes, tick: int) -> bool:
        """Count the lines of a chunk; return whether a gauge among them was new."""

    def add_plain(self, listener: int, chunks: list[bytes], tick: int) -> None:
        """Count the lines of chunks without gauges."""

    def add_late(self, listener: int, chunks: list[bytes]) -> None:
        """Count lines that came before the last chunk with a gauge that was new."""

    def received(self, listener: int, nbytes: int) -> None:
        """Count received bytes."""

    def datagrams(self, listener: int, n: int) -> None:
        """Count datagrams."""

    def reject(self, listener: int, reason: str, n: int, beginning: bytes, /) -> None:
        """Count lines that were dropped before they were whole."""

    def note_bad_header(self, listener: int, beginning: bytes, /) -> None:
        """Keep an example of what came in the place of a header."""


class Intake:
    """Chunks of complete lines on their way from the sockets to the tally.

    ``full`` is called once when the journal cannot take another chunk for certain: reading must stop until `release`
    has made room, which it says by calling ``resumed``. Up to the offset ``brim`` the journal certainly takes one more.
    ``scarce`` is called once before that, when only the reserve is left: connections that bring much must not be read
    until ``ample`` is called. Past the offset ``edge`` the next of the two is due. ``turn`` is another number after
    each release. ``tails`` bounds what waits for newlines.

    What is read must be in the journal, or a kill loses it; what the store does not have yet must stay there. So a full
    journal has to stop the reading, and each side stops the next:

        disk slow -> commits wait -> journal full -> lanes pause -> socket buffers fill -> clients' sends block

                  +---------------- the journal ---------------------------+
        take ---> | released | not committed ...  head   | reserve | brim  | ---> scarce: the busiest connections pause
                  +--------------------------------------------------------+ ---> full: lanes pause
        release(committed) moves "released" on, and "brim" with it ---> resumed, ample: they go on

    TCP and Unix clients wait; datagrams are dropped by the kernel, which counts them.
    """

    __slots__ = (
        "_ample",
        "_batches",
        "_bytes",
        "_datagrams",
        "_full",
        "_largest_chunk",
        "_origins",
        "_resumed",
        "_scarce",
        "_tally",
        "brim",
        "edge",
        "is_full",
        "is_scarce",
        "journal",
        "limits",
        "sources",
        "tails",
        "tick",
        "turn",
    )

    def __init__(
        self,
        journal: Journal,
        tally: LineTally,
        listeners: int,
        *,
        scarce: Callable[[], object],
        ample: Callable[[], object],
        full: Callable[[], object],
        resumed: Callable[[], object],
        longest_line: int = DEFAULT_MAX_LINE,
        sources: WorkerSources | None = None,
        takes_batches: bool = False,
    ) -> None:
        """Serve that many listeners, known by their index, of which none takes a longer line than that, in bytes.

        ``sources``: where it is told what each source brings, if it is. ``takes_batches``: one of them may bring
        batches.
        """
        self.journal = journal
        chunk = _LARGEST_READ + max(longest_line, LARGEST_PACKET) + len(b"\n")
        self._largest_chunk = max(chunk, _MOST_BATCHES if takes_batches else 0)
        self._tally = tally
        self._batches: list[list[bytes]] = [[] for _ in range(listeners)]
        self._bytes = [0] * listeners
        self._datagrams = [0] * listeners
        self.sources = sources
        self.limits: list[ListenerLimits | None] = [None] * listeners
        """What one source may do at each listener, if that is limited."""
        self._origins = None if sources is None else FrameOrigins(journal)
        self.tails = Tails()
        self.tick = time.monotonic_ns()
        self._scarce, self._ample = scarce, ample
        self._full, self._resumed = full, resumed
        self.is_scarce = self.is_full = False
        self.turn = 0
        self._measure()

    def take(
        self,
        listener: int,
        lines: bytes,
        received: int,
        datagrams: int = 0,
        origin: bytes | None = None,
        parts: bytes = b"",
    ) -> None:
        """Take the complete lines, each ended by a newline, that ``received`` bytes completed.

        They are from ``origin``, or ``parts`` says where each part of them is from (`FrameOrigins.add_parts`).
        """
        self._bytes[listener] += received
        if datagrams:
            self._datagrams[listener] += datagrams
        if origin is not None and self.sources is not None:
            self.sources.add(origin, listener, 0, lines.count(b"\n"), received)
        if not lines:
            return
        if self._origins is not None:
            if parts:
                self._origins.add_parts(parts)
            else:
                self._origins.add(origin or UNKNOWN)
        journal = self.journal
        if lines.find(GAUGE_MARK) >= 0 or (lines.find(SPACE) >= 0 and lines.find(SPACED_MARK) >= 0):
            # What happens to a gauge has an order over all workers. The beginning of the batch is not exact enough:
            # between two connections of it this process may have waited for the processor while another one worked.
            tick = self.tick = time.monotonic_ns()
            journal.append(listener, lines, tick, received, datagrams)
            if self._tally.add(listener, lines, tick):
                self._catch_up()
        else:
            journal.append(listener, lines, self.tick, received, datagrams)
            self._batches[listener].append(lines)
        if journal.head > self.edge:
            self._fill()

    def took(
        self,
        listener: int,
        chunks: list[bytes],
        gauges: list[tuple[int, bytes, int]],
        received: int,
        origins: bytes = b"",
    ) -> None:
        """Take what was published in the journal elsewhere: chunks as those of `take`, and those of gauges.

        The latter are with their tick, and with the number of other chunks before them. ``tick`` is that of the last of
        them already. ``origins`` are those of all chunks in the order of their frames; their sources were told.
        """
        self._bytes[listener] += received
        if self._origins is not None:
            self._origins.add(origins or UNKNOWN * (len(chunks) + len(gauges)))
        handed = 0
        for tick, lines, before in gauges:
            if self._tally.add(listener, lines, tick):
                self._batches[listener] += chunks[handed:before]
                handed = before
                self._catch_up()
        self._batches[listener] += chunks[handed:] if handed else chunks
        self.journal.catch_up()
        if self.journal.head > self.edge:
            self._fill()

    def take_batch(
        self, listener: int, key: BatchKey, lines: bytes, received: int, origin: bytes | None = None
    ) -> None:
        """Publish a batch that ``received`` bytes brought. Its lines are not for the tally, but the bytes are."""
        self._bytes[listener] += received
        if self._origins is not None:
            self._origins.add(origin or UNKNOWN)
        self.tick = time.monotonic_ns()
        self.journal.append_batch(listener, key, lines, self.tick, received)
        if self.journal.head > self.edge:
            self._fill()

    def note_batch(self, listener: int, origin: bytes | None, lines: int, received: int, bad: int) -> None:
        """Count for its source what a batch was: lines, bytes, and how many of the lines are bad."""
        if origin is not None and self.sources is not None:
            self.sources.add(origin, listener, 0, lines, received, bad)

    def reject(self, listener: int, reason: str, n: int, beginning: bytes, origin: bytes | None = None) -> None:
        """Count lines that cannot be taken because they were too long or never finished; one of them begins so."""
        self._tally.reject(listener, reason, n, beginning)
        if origin is not None and self.sources is not None:
            self.sources.add(origin, listener, 0, 0, 0, n)

    def arrived(self, address: str, listener: int) -> bytes | None:
        """Count a connection of a client whose address a balancer has told, and return its origin."""
        if self.sources is None and self.limits[listener] is None:
            return None
        if self.sources is None:
            return packed_address(address)
        origin = self.sources.origin_at(address)
        self.sources.add(origin, listener, 1)
        return origin

    def note_end(self, origin: bytes, listener: int, *, reset: bool = False, evicted: bool = False) -> None:
        """Note that a client has reset its connection, or that it was closed by the service."""
        if self.sources is not None:
            self.sources.add(origin, listener, 0, 0, 0, 0, int(reset), int(evicted))

    def blame(self, bad: Mapping[int, Collection[bytes]]) -> None:
        """Count these bad lines for the sources that have brought them since the last call; ``bad`` is by listener."""
        if self._origins is not None and self.sources is not None:
            self._origins.blame(bad, self.sources.add)

    def note_bad_header(self, listener: int, beginning: bytes) -> None:
        """Keep an example of what came in the place of a header of the PROXY protocol."""
        self._tally.note_bad_header(listener, beginning)

    def settle(self) -> None:
        """Hand what has come since the last call to the tally. To be called at the end of every batch of reads."""
        for listener, chunks in enumerate(self._batches):
            if chunks:
                self._batches[listener] = []
                self._tally.add_plain(listener, chunks, self.tick)
            if self._bytes[listener]:
                self._tally.received(listener, self._bytes[listener])
                self._bytes[listener] = 0
            if self._datagrams[listener]:
                self._tally.datagrams(listener, self._datagrams[listener])
                self._datagrams[listener] = 0

    def _catch_up(self) -> None:
        """Hand over what came before a gauge that was new: which of them was first may matter."""
        for listener, chunks in enumerate(self._batches):
            if chunks:
                self._batches[listener] = []
                self._tally.add_late(listener, chunks)

    def release(self, committed: int) -> None:
        """Free the journal's space before that offset: the store has its contents."""
        self.journal.release(committed)
        self.turn += 1
        self._measure()
        if self.is_full and self.journal.head <= self.brim:
            self.is_full = False
            self._resumed()
        if self.is_scarce and self.journal.head <= self.brim - self._reserve:
            self.is_scarce = False
            self._measure()
            self._ample()

    @property
    def _reserve(self) -> int:
        return len(self.journal.ring) // RESERVE

    def _measure(self) -> None:
        """Set ``edge``, up to which there is room: the next step begins there."""
        self.brim = self.journal.head + self.journal.room() - self._largest_chunk
        self.edge = self.brim if self.is_scarce else self.brim - self._reserve

    def _fill(self) -> None:
        if not self.is_scarce:
            self.is_scarce = True
            self.edge = self.brim
            self._scarce()
        if not self.is_full and self.journal.head > self.brim:
            self.is_full = True
            self._full()
