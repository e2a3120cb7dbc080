"""What this service has, from its page for Prometheus."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from statsd_tcp.commands.compare.exposition import read_page
from statsd_tcp.commands.compare.likely import Evidence
from statsd_tcp.commands.compare.readings import COUNT, GAUGE, Key, Span, There, values_of, went_up

__all__ = ["Here", "NoCommits", "Stretch"]

_COMMITS = "statscounter_commits_total"
_COMMITTED = re.compile(rf"^{_COMMITS} (\S+)$", re.MULTILINE)
_LINES = "statscounter_lines_total"
_BAD_LINES = "statscounter_bad_lines_total"
_CONFLICTS = "statscounter_series_conflicts_total"
_TIMED = ("ms", "h", "d")
_PATIENCE = 15.0
"""Seconds within which two commits have to come; they come about once a second."""

_PAUSE = 0.25


class NoCommits(Exception):  # noqa: N818  (an answer to the operator)
    """The page is none of this service, or does not show what came because the service does not commit."""


class Here:
    """The service; ``read`` gives the text of its page. What came is on it with the commit after the next one.

    Texts are read into numbers when both servers have been read: with many series that takes seconds.
    """

    def __init__(
        self,
        read: Callable[[], str],
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._read, self._clock, self._sleep = read, clock, sleep

    def read(self) -> str:
        """Return the page as it is now; raises `NoCommits` if it is none of this service."""
        text = self._read()
        _commits(text)
        return text

    def settled(self) -> str:
        """Return a page that has all that had come before the call; raises `NoCommits`."""
        text, deadline = self.read(), self._clock() + _PATIENCE
        # The first may have been under way.
        wanted = _commits(text) + 2
        while _commits(text) < wanted:
            if self._clock() > deadline:
                raise NoCommits(f"--http: {_COMMITS} stands still for {_PATIENCE:g} s: what came is not on the page")
            self._sleep(_PAUSE)
            text = self.read()
        return text


def _commits(text: str) -> float:
    found = _COMMITTED.search(text)
    if found is None:
        raise NoCommits(f"--http: there is no {_COMMITS} on the page: it is none of this service")
    return float(found[1])


class Stretch:
    """An interval here: each of its ends lies between two pages."""

    def __init__(self, before: tuple[str, str], after: tuple[str, str]) -> None:
        """Read the pages; raises `NotExposition`."""
        self._before = read_page(before[0]), read_page(before[1])
        self._after = read_page(after[0]), read_page(after[1])

    def numbers(self) -> dict[Key, Span]:
        """Return how far totals went up, and the values of gauges at the end."""
        spans = went_up(
            (self._before[0].series, self._before[1].series), (self._after[0].series, self._after[1].series)
        )
        gauges = values_of(self._after[0].series, self._after[1].series)
        return {key: gauges[key] if key.what == GAUGE else span for key, span in spans.items() if key in gauges}

    def lines(self) -> Span:
        """Return the number of lines that came."""
        begins = [page.total(_LINES) for page in self._before]
        ends = [page.total(_LINES) for page in self._after]
        return Span(ends[1] - begins[1], ends[0] - begins[1], ends[1] - begins[0])

    def moved(self) -> set[Key]:
        """Return the gauges that were changed."""
        before, after = self._before[0].series, self._after[1].series
        return {key for key, value in after.items() if key.what == GAUGE and before.get(key) != value}

    def evidence(self, there: There, *, lines_differ: bool) -> Evidence:
        """Return what came besides the series."""
        bad, samples = self._risen(_BAD_LINES, "reason"), self._risen("statscounter_samples_total", "type")
        conflicts = self._after[1].by(_CONFLICTS, "reason")
        weights = sum(
            value - self._before[0].series.get(key, 0.0)
            for key, value in self._after[1].series.items()
            if key.what == COUNT
        )
        return Evidence(
            bad_here={reason: number for reason, number in bad.items() if reason not in there.bad_alike},
            bad_there=there.bad,
            packed=sum(samples.values()) > self.lines().most - sum(bad.values()),
            negative=self._risen(_CONFLICTS, "reason").get("negative", 0.0) > 0,
            sampled=weights > sum(samples.get(kind, 0.0) for kind in _TIMED),
            sets=int(self._after[1].by("statscounter_series", "type").get("s", 0.0)),
            two_types=int(sum(conflicts.get(reason, 0.0) for reason in ("type", "unit", "duplicate"))),
            mapping=self._after[1].total("statscounter_mapping_rules") > 0,
            lines_differ=lines_differ,
        )

    def _risen(self, name: str, label: str) -> dict[str, float]:
        before = self._before[0].by(name, label)
        return {each: value - before.get(each, 0.0) for each, value in self._after[1].by(name, label).items()}
