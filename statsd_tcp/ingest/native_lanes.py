"""The accept lanes whose inner loop is in C (`_burst.c`).

A connection that has sent everything by the time of the poll, in reads that end in newlines, is done in C; all else is
left to the same methods as in Python. So the two differ in their cost only, and the same tests run against both.
"""

from __future__ import annotations

import errno
import socket
from _socket import socket as raw_socket
from typing import Any

from statsd_tcp.ingest import lane, line_lane
from statsd_tcp.ingest.intake import SHARE
from statsd_tcp.ingest.lane import CountLane
from statsd_tcp.ingest.line_lane import LineLane
from statsd_tcp.ledger.cells import JOURNAL_HEAD

try:
    from statsd_tcp.ingest import _burst
except ImportError:
    BUILT = False
else:
    # A checkout may be newer than what was compiled of it.
    BUILT = _burst.VERSION == 9  # noqa: PLR2004

__all__ = ["BUILT", "NativeCountLane", "NativeLineLane"]

_STREAM = socket.SOCK_STREAM


class NativeCountLane(CountLane):
    """A port whose connections are accepted, counted and closed."""

    def __init__(self, *args: Any) -> None:
        """The arguments are the accept lane's."""
        super().__init__(*args)
        self._burst = _burst.bare
        indexes = self._indexes
        self._counts = (indexes.accepted, indexes.counted, indexes.reset)
        told: tuple[Any, ...] = (None, 0) if self._sources is None else (self._sources.writer, self._sources.index)
        self._told = told if self._limits is None else (told[0], self._limits.index, self._limits.writer)

    def poll(self) -> int:
        """Accept up to the budget, and return the number of connections."""
        taken, error = self._burst(self.fileno(), lane.BUDGET, self._cells, self._counts, *self._told)
        if error not in {0, errno.EAGAIN}:
            self.exhausted(error)
        return taken


class NativeLineLane(LineLane):
    """A port whose connections carry lines."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        """The arguments are the line lane's."""
        super().__init__(*args, **keywords)
        self._burst = _burst.lines
        indexes = self._indexes
        self._counts = (indexes.accepted, indexes.eof, indexes.reset, indexes.error, JOURNAL_HEAD)
        self._writer = None if self._intake.sources is None else self._intake.sources.writer
        self._limit = None if self._limits is None else self._limits.writer

    def poll(self) -> int:
        """Accept up to the budget, and return the number of connections."""
        taken = error = 0
        while taken < lane.BUDGET and self.may_accept():
            accepted, error = self._run(min(lane.BUDGET - taken, self.occupancy.limit - self.occupancy.open))
            taken += accepted
            if error or not accepted:
                break
        if error not in {0, errno.EAGAIN}:
            self.exhausted(error)
        return taken

    def _run(self, budget: int) -> tuple[int, int]:
        intake = self._intake
        accepted, error, chunks, gauges, received, intake.tick, unfinished, origins = self._burst(
            self.fileno(),
            budget,
            line_lane.READS_PER_POLL,
            SHARE // line_lane.READS_PER_POLL if intake.is_scarce else line_lane.RECEIVE_SIZE,
            self._cells,
            self._counts,
            intake.journal.ring,
            self._index,
            intake.brim,
            intake.tick,
            self._writer,
            self._limit,
        )
        if not accepted:
            return 0, error
        intake.took(self._index, chunks, gauges, received, origins)
        for descriptor, data, origin, is_over in unfinished:
            if self._limits is not None:
                self._limits.is_over = bool(is_over)
            self._go_on(descriptor, data, origin)
        return accepted, error

    def _go_on(self, descriptor: int, data: bytes | None, origin: bytes | None) -> None:
        """Deal with a connection that is not done, and of which ``data`` is read and not taken yet.

        None: nothing was read of it at all. How much was taken before is not known.
        """
        connection = raw_socket(self._family, _STREAM, 0, descriptor)
        reason, stream = 0, None
        brought = 0 if data is None else max(1, len(data))
        if data:
            stream = self.begin_stream(data, origin)
            if stream.feed(data):
                reason, stream, more = self.read(connection, stream, origin)
                brought += more
            else:
                reason = self.broken(stream)
        self.close_or_wait(descriptor, connection, reason, stream, brought, origin)
