"""The signs of life of a worker, which it gives in its ledger: its supervisor does not ask while commits fail."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall

from statsd_tcp.ingest.sources import WorkerSources
from statsd_tcp.ledger.cells import GAP_MAX, HEARTBEAT

__all__ = ["Heartbeat"]

PERIOD = 1.0
"""Seconds between two signs of life of a worker that is not asked for anything."""


class Heartbeat:
    """Writes into ``cells`` when the worker last lived, and turns the memory of its sources with it.

    ``ticks`` are the nanoseconds of CLOCK_MONOTONIC; ``longest_gap`` gives the longest time between two turns of the
    reactor.
    """

    def __init__(
        self,
        reactor: Any,
        cells: memoryview,
        ticks: Callable[[], int],
        longest_gap: Callable[[], int],
        sources: WorkerSources | None,
    ) -> None:
        self._reactor = reactor
        self._cells = cells
        self._ticks = ticks
        self._longest_gap = longest_gap
        self._sources = sources
        self._call: IDelayedCall | None = None

    def start(self) -> None:
        """Beat now, and again every `PERIOD` by the worker's own clock."""
        self.beat()
        self._call = self._reactor.callLater(PERIOD, self.start)

    def beat(self) -> None:
        """Beat once."""
        self._cells[HEARTBEAT] = now = self._ticks()
        if self._sources is not None:
            self._sources.turn(now)
        self._cells[GAP_MAX] = self._longest_gap()

    def stop(self) -> None:
        """Beat no more."""
        if self._call is not None:
            self._call.cancel()
            self._call = None
