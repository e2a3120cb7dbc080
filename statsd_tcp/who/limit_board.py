"""The supervisor's side of the limits: one memory for all workers, and a column of it for each."""

from __future__ import annotations

import heapq

from statsd_tcp.who.limit_memory import ACTIVE, LimitMemory, LimitPlan

__all__ = ["LimitBoard"]


class LimitBoard:
    """Hands out the columns. A worker whose predecessor has not gone has another one; one that is gone leaves zeros."""

    def __init__(self, plan: LimitPlan) -> None:
        """Make the memory. Raises `OSError`."""
        self.memory = LimitMemory.make(plan)
        self._free = list(range(plan.columns))

    @property
    def descriptor(self) -> int:
        """Return that of the file in memory."""
        return self.memory.descriptor

    def take(self) -> int | None:
        """Return a column for one more worker; None while too many old ones have not gone."""
        if not self._free:
            return None
        column = heapq.heappop(self._free)
        self.memory.cells[ACTIVE] = max(self.memory.cells[ACTIVE], column + 1)
        return column

    def give_back(self, column: int) -> None:
        """Note that the worker of a column is gone, and with it its connections."""
        self.memory.clear(column)
        heapq.heappush(self._free, column)
