"""What the lanes of one worker do with connections whose source is over a limit, see `statsd_tcp.who.limits`."""

from __future__ import annotations

import socket
import struct
import time
from _socket import socket as raw_socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

from statsd_tcp.ingest.sources import WorkerSources
from statsd_tcp.ledger.cells import ListenerCells
from statsd_tcp.who.limit_memory import ACTION, OBSERVE, RESET, LimitMemory
from statsd_tcp.who.limits import NOT_HELD, SourceLimits

__all__ = ["NOT_HELD", "AdmitsInC", "ListenerLimits", "WorkerLimits"]

AdmitsInC = Callable[[memoryview, int, bytes, int, int], bool]
"""What `_burst.admits` does: given the memory, the column, the address, the listener's index and the time."""

_RECEIVE_SIZE = 65536
_AT_ONCE = struct.pack("ii", 1, 0)
_STREAM = socket.SOCK_STREAM
_DONTWAIT = socket.MSG_DONTWAIT


class WorkerLimits:
    """The limits that one worker keeps to."""

    def __init__(
        self,
        memory: LimitMemory,
        column: int,
        admits_in_c: AdmitsInC | None = None,
        ticks: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """Write that column, with the part in C if it is given. ``ticks``: nanoseconds of CLOCK_MONOTONIC."""
        self.limits = SourceLimits(memory, column, ticks)
        self.action = memory.cells[ACTION]
        self.writer = memory.view, column
        self.admits: Callable[[bytes, int], bool] = self.limits.admits
        if admits_in_c is not None:
            in_c = partial(admits_in_c, memory.view, column)
            self.admits = lambda address, listener: in_c(address, listener, ticks())


class ListenerLimits:
    """Those of one listener, whose cells count what was over them."""

    def __init__(
        self,
        limits: WorkerLimits,
        index: int,
        cells: memoryview,
        indexes: ListenerCells,
        sources: WorkerSources | None,
    ) -> None:
        """``sources``: where it is told who connects, if it is."""
        self._limits = limits
        self.index = index
        self._cells = cells
        self._sources = sources
        self._closed, self._all = indexes.limited, indexes.source_limited[limits.action]
        self.is_observed = limits.action == OBSERVE
        self.resets = limits.action == RESET
        self.is_over = False
        """Whether the connection that is being served is over its source's rate. Inner loops in C tell it of those that
        they leave."""
        self.writer: Any = (*limits.writer, self._closed, self._all)
        """What inner loops in C need."""

    def admits(self, origin: bytes) -> bool:
        """Take a connection from its source's rate; return whether it is to be served."""
        self.is_over = not self._limits.admits(origin, self.index)
        return not self.is_over or self._note_over(origin)

    def hold(self, origin: bytes) -> tuple[bool, int]:
        """Count a connection as open; return whether it may be, and what to `release` when it ends.

        One that is over a limit is not counted as open, and only once as limited: if it were not just observed, it
        would be closed by then.
        """
        if self.is_over:
            return True, NOT_HELD
        within, place = self._limits.limits.hold(origin, self.index)
        if within:
            return True, place
        self.release(place)
        return self._note_over(origin), NOT_HELD

    def release(self, place: int) -> None:
        """Count it as open no longer."""
        self._limits.limits.release(place)

    def turn_away(self, family: int, descriptor: int) -> None:
        """Close a connection that was just accepted."""
        connection = raw_socket(family, _STREAM, 0, descriptor)
        self.prepare(connection)
        self._cells[self._closed] += 1
        connection.close()

    def prepare(self, connection: Any) -> None:
        """Have the kernel send a reset when the connection is closed, if that is what limited ones get.

        Otherwise read what has come, or the kernel would send one, too.
        """
        with suppress(OSError):
            if self.resets:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            else:
                connection.recv(_RECEIVE_SIZE, _DONTWAIT)

    def _note_over(self, origin: bytes) -> bool:
        """Count a connection over a limit; return whether it is served nevertheless."""
        self._cells[self._all] += 1
        if self._sources is not None:
            self._sources.add(origin, self.index, 0, 0, 0, 0, 0, 0, 1)
        return self.is_observed
