"""Reads both servers at both ends of an interval, and compares what came in between."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple, Protocol

from statsd_tcp.commands.compare.exposition import read_page
from statsd_tcp.commands.compare.here import Here, Stretch
from statsd_tcp.commands.compare.judge import Row, judge, nearest, same
from statsd_tcp.commands.compare.readings import COUNTER, GAUGE, Key, Span, There, values_of, widened

__all__ = ["Measured", "Other", "measure"]

_LINES = Key(COUNTER, "statscounter_lines_total")

_ROUNDS = 3
"""How often gauges are read that are not the same: one may have been changed between here and there."""


class Other(Protocol):
    """The other server."""

    unseen: float
    """Seconds of the interval of which it does not tell."""

    def await_moment(self) -> None:
        """Wait for a moment at which it can be read."""

    def begin(self) -> None:
        """Read it at the beginning."""

    def wait(self, seconds: float) -> None:
        """Wait for the end of the interval, and watch it if need be."""

    def end(self) -> There:
        """Read it at the end, and return what came in between."""

    def gauges(self) -> Mapping[Key, float]:
        """Read its gauges once more."""


class Measured(NamedTuple):
    """The comparison; ``lines_here`` and ``lines_there`` are how many lines came, ``unseen`` as of `Other`.

    ``seconds`` is how long the interval was.
    """

    rows: list[Row]
    lines_here: float
    lines_there: float
    unseen: float
    seconds: float


def measure(here: Here, other: Other, seconds: float, clock: Callable[[], float]) -> Measured:
    """Compare both over an interval; raises what reading either of them raises.

    What is on our page before the other server is read had come there too; and our page has all that had come there
    once it has settled. So each end lies between two of our pages.
    """
    other.await_moment()
    with ThreadPoolExecutor(1) as aside:
        first = here.read()
        began = clock()
        other.begin()
        # The other one may have to be watched meanwhile.
        settled = aside.submit(here.settled)
        other.wait(seconds)
        before = first, settled.result()
    first = here.read()
    there = other.end()
    ended = clock()
    stretch = Stretch(before, (first, here.settled()))
    share = other.unseen / (ended - began) if other.unseen else 0.0
    numbers, there = _calmed(here, other, widened(stretch.numbers(), share), there)
    # For what lines are worth as evidence they are one total among the others.
    lines = widened({**numbers, _LINES: stretch.lines()}, share)[_LINES]
    seen = stretch.evidence(there, lines_differ=not same(lines, there.lines))
    rows = judge(numbers, there, seen, stretch.moved())
    return Measured(rows, nearest(lines, there.lines), there.lines, other.unseen, ended - began)


def _calmed(here: Here, other: Other, numbers: dict[Key, Span], there: There) -> tuple[dict[Key, Span], There]:
    """Read gauges again that are not the same. One that was changed on both sides each time is not told."""
    found = dict(there.numbers)
    seen: dict[Key, list[tuple[float, float]]] = {}
    for _ in range(_ROUNDS - 1):
        wrong = [
            key
            for key in numbers.keys() & found.keys()
            if key.what == GAUGE and not same(numbers[key], found[key] or 0.0)
        ]
        if not wrong:
            break
        for key in wrong:
            seen.setdefault(key, []).append((numbers[key].shown, found[key] or 0.0))
        first = here.read()
        values = other.gauges()
        spans = values_of(read_page(first).series, read_page(here.settled()).series)
        for key in wrong:
            if key in spans and key in values:
                numbers[key], found[key] = spans[key], values[key]
    for key, pairs in seen.items():
        pairs.append((numbers[key].shown, found[key] or 0.0))
        sides = list(zip(*pairs, strict=True))
        if not same(numbers[key], pairs[-1][1]) and all(len(set(side)) == len(side) == _ROUNDS for side in sides):
            found[key] = None
    return numbers, there._replace(numbers=found)
