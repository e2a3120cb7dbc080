"""The engines: both get everything from every node."""

from __future__ import annotations

import os
import signal

from tests.functional.processes import marked
from tests.functional.receivers import Engine
from tests.functional.waiting import PATIENCE

__all__ = ["FleetEngine"]


class FleetEngine(Engine):
    """One that is killed, and asked for the sum over all nodes."""

    def kill(self) -> None:
        """Kill it; what it has on its disk stays in its folder."""
        for pid in marked(self._mark):
            os.kill(pid, signal.SIGKILL)
        if self._process is not None:
            self._process.wait(PATIENCE)

    def fleet(self, metric: str) -> float:
        """Return the sum of a metric over all nodes, also of those that are silent; NaN if there is none."""
        return self.value(f"sum(last_over_time({metric}[1h]))")
