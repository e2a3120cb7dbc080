"""What comes to statsd_exporter, from its page for Prometheus."""

from __future__ import annotations

import time
from collections.abc import Callable

from statsd_tcp.commands.compare.exposition import NotExposition, read_page
from statsd_tcp.commands.compare.readings import GAUGE, Key, There

__all__ = ["Exporter", "Restarted"]

_QUEUE = 0.5
"""Seconds after which the exporter shows what has come: it keeps events for 0.2 (``--statsd.event-flush-interval``)."""

_LINES = "statsd_exporter_lines_total"
_ERRORS = ("statsd_exporter_sample_errors_total", "statsd_exporter_events_error_total")


_BAD_ALIKE = frozenset({"unknown_type", "malformed_line", "not_utf8", "line_too_long"})


class Restarted(Exception):  # noqa: N818  (an answer to the operator)
    """The exporter has lost its totals over the interval."""


class Exporter:
    """One exporter, read twice; ``read`` gives the text of its page."""

    def __init__(self, read: Callable[[], str], sleep: Callable[[float], None] = time.sleep) -> None:
        self._read, self._sleep = read, sleep
        self._before = ""
        self.unseen = 0.0

    def await_moment(self) -> None:
        """Any moment is as good as another."""

    def begin(self) -> None:
        """Read the page for the first time; raises `NotExposition`."""
        self._before = self._later()
        if _LINES not in self._before:
            raise NotExposition(f"--exporter: there is no {_LINES} on the page: it is none of statsd_exporter")

    def wait(self, seconds: float) -> None:
        """Wait."""
        self._sleep(seconds)

    def end(self) -> There:
        """Read it again, and return what came in between; raises `Restarted` and `NotExposition`."""
        last = self._later()
        before, after = read_page(self._before), read_page(last)
        if after.total(_LINES) < before.total(_LINES):
            raise Restarted("--exporter: its totals have fallen: it was started again meanwhile")
        numbers: dict[Key, float | None] = {
            key: value if key.what == GAUGE else value - before.series.get(key, 0.0)
            for key, value in after.series.items()
        }
        bad = sum(after.total(name) - before.total(name) for name in _ERRORS)
        return There(numbers, {}, after.total(_LINES) - before.total(_LINES), bad, bad_alike=_BAD_ALIKE)

    def gauges(self) -> dict[Key, float]:
        """Return the gauges."""
        return {key: value for key, value in read_page(self._later()).series.items() if key.what == GAUGE}

    def _later(self) -> str:
        """Read the page when it has all that had come: what our page has by then is on this one, too."""
        self._sleep(_QUEUE)
        return self._read()
