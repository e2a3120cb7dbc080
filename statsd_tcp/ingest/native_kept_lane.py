"""The lane of the connections that stay, with its inner loop in C (`kept.h`).

If a connection is between two lines, and what is read from it ends a line, its transport is not called. Everything else
is left to the same methods as in Python, so the same tests run against both. A table by descriptor says which
connections C may read. It is updated whenever Python has read from a connection, or waits for it again.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_LOST
from twisted.python.failure import Failure

from statsd_tcp.ingest import kept_lane
from statsd_tcp.ingest.intake import Intake
from statsd_tcp.ingest.kept_lane import KeptLane
from statsd_tcp.ingest.moderation import Moderator
from statsd_tcp.ingest.protocol import LineProtocol
from statsd_tcp.ledger.cells import JOURNAL_HEAD

__all__ = ["NativeKeptLane"]

_KEPT: Final = struct.Struct("=I16s")
_PYTHONS: Final = bytes(_KEPT.size)


class NativeKeptLane(KeptLane):
    """The connections of one worker that wait for their clients."""

    def __init__(self, reactor: Any, moderator: Moderator, lost: Callable[[Failure], None], intake: Intake) -> None:
        """Wait for none yet. What is read goes to ``intake``; the other arguments are those of the lane in Python."""
        from statsd_tcp.ingest import _burst

        super().__init__(reactor, moderator, lost)
        self._intake = intake
        self._run = _burst.kept
        self._table = bytearray()
        self._writer = None if intake.sources is None else intake.sources.writer

    def addReader(self, reader: IReadDescriptor) -> None:
        """Wait until there is something to read, as a reactor would."""
        super().addReader(reader)
        self._note(reader)

    def removeReader(self, reader: IReadDescriptor) -> None:
        """Wait no longer, as a reactor would."""
        super().removeReader(reader)
        descriptor = reader.fileno()
        if 0 <= descriptor < len(self._table) // _KEPT.size:
            self._put(descriptor, _PYTHONS)

    def poll(self) -> int:
        """Read from those that have something, and return their number."""
        intake = self._intake
        found, left = self._poll(kept_lane.BUDGET)
        while left and intake.journal.head <= intake.brim:
            _, left = self._poll(0)
        return found

    def _poll(self, budget: int) -> tuple[int, int]:
        """Find up to that many and read from the first of them; 0: go on with those that are left.

        Return how many were found, and how many are left.
        """
        intake, journal = self._intake, self._intake.journal
        found, left, listener, chunks, gauges, received, tick, unread, origins, served = self._run(
            self.fileno(),
            budget,
            journal.cells,
            JOURNAL_HEAD,
            journal.ring,
            # When only the reserve is left, the busiest have to be held before more is read.
            intake.edge if journal.head <= intake.edge else intake.brim,
            intake.tick,
            self._table,
            self._writer,
        )
        # They are looked up first: what was read may have all connections paused, and then they no longer wait here.
        readers = [self._readers.get(descriptor) for descriptor, _, _ in unread]
        if served:
            numbers = memoryview(served).cast("i")
            protocols: list[Any] = [self._readers[descriptor].protocol for descriptor in numbers[::2]]  # type: ignore[attr-defined]
            for protocol, size in zip(protocols, numbers[1::2], strict=True):
                protocol.note_read(size)
            intake.tick = tick
            intake.took(listener, chunks, gauges, received, origins)
            if intake.is_scarce:
                _hold(protocols)
        # The last one may have been read already: the room that there is in the journal is for that.
        for reader, (_, data, error) in zip(reversed(readers), reversed(unread), strict=True):
            if reader is not None:
                self._go_on(reader, data, error)
        return found, left

    def _go_on(self, reader: Any, data: bytes | None, error: int) -> None:
        """Deal with a connection that C has left. ``data`` was read from it and is not taken yet; None: nothing was.

        ``error`` is that of C's read, which has taken it from the socket; 0: there was none.
        """
        if data is not None:
            self._call(reader, partial(reader.protocol.dataReceived, data))
        elif error:
            self._disconnect(reader, CONNECTION_LOST)
        # Else reading was paused meanwhile.
        elif reader.fileno() in self._readers:
            self._call(reader, reader.doRead)
        self._note(reader)

    def _note(self, reader: Any) -> None:
        """Note whether C may read from a connection next, if it waits here."""
        descriptor = reader.fileno()
        if self._readers.get(descriptor) is not reader:
            return
        missing = (descriptor + 1) * _KEPT.size - len(self._table)
        if missing > 0:
            self._table += bytes(missing)
        protocol = getattr(reader, "protocol", None)
        if isinstance(protocol, LineProtocol) and protocol.is_plain:
            stream = protocol.stream
            self._put(descriptor, _KEPT.pack(stream.index + 1, stream.origin or b""))
        else:
            self._put(descriptor, _PYTHONS)

    def _put(self, descriptor: int, kept: bytes) -> None:
        self._table[descriptor * _KEPT.size : (descriptor + 1) * _KEPT.size] = kept


def _hold(protocols: Iterable[LineProtocol]) -> None:
    for protocol in protocols:
        protocol.hold()
