"""The engines: both get everything from every node."""

from __future__ import annotations

from tests.functional.receivers import Engine

__all__ = ["FleetEngine"]


class FleetEngine(Engine):
    """One that is asked for the sum over all nodes."""

    def fleet(self, metric: str) -> float:
        """Return the sum of a metric over all nodes, also of those that are silent; NaN if there is none."""
        return self.value(f"sum(last_over_time({metric}[1h]))")
