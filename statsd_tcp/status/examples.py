"""The last example of everything that was rejected, harmless to look at.

What clients send is foreign: a terminal obeys what it is shown, and a page may be made to say something else. So
only printable characters are kept of it, and code that writes HTML or JSON escapes those that mean something there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from statsd_tcp.aggregate.examples import BAD_PROXY_HEADER, BAD_TAGS, LONGEST, Example
from statsd_tcp.store.snapshot import BAD_LINES, Snapshot
from statsd_tcp.wire.batches import REFUSALS
from statsd_tcp.wire.notation import as_text

__all__ = ["LastExamples", "shown"]

_FIRST_BYTE = 0xDC00
"""Where Python's ``surrogateescape`` puts bytes that are no UTF-8."""


_METRICS = {BAD_TAGS: BAD_TAGS, BAD_PROXY_HEADER: "connections_closed"} | dict.fromkeys(REFUSALS, "batches_refused")
"""The metric of each reason that is none of a bad line."""

_MERGED = "series_merged"
_TAKEOVERS = "name_takeovers"


class LastExamples:
    """One example for each metric and reason, since the process became this image. Nothing of it is on the disk."""

    def __init__(self, clock: Any, *, kept: bool) -> None:
        """Take the time from the ``seconds`` of ``clock``. Nothing is ``kept`` if the operator does not want that."""
        self._clock = clock
        self._kept = kept
        self._last: dict[tuple[str, str], tuple[float, Example]] = {}
        self._counted: dict[tuple[str, str], int] = {}

    def add(self, examples: Iterable[Example]) -> None:
        """Take lines that were rejected lately, in the place of those before."""
        for example in examples:
            self._put(_METRICS.get(example.reason, BAD_LINES), example)

    def committed(self, snapshot: Snapshot) -> None:
        """Take the series that the store has left out, where it has counted more of them since the last commit."""
        for metric, reason, number, names in _left_out(snapshot):
            before, self._counted[metric, reason] = self._counted.get((metric, reason), 0), number
            if names and number > before:
                text = ", ".join(map(as_text, names)).encode(errors="replace")
                self._put(metric, Example(reason, "", text[:LONGEST], len(text) > LONGEST))

    def _put(self, metric: str, example: Example) -> None:
        if self._kept:
            self._last[metric, example.reason] = (self._clock.seconds(), example)

    def rows(self) -> list[dict[str, Any]]:
        """Return them for the status, the latest first."""
        now = self._clock.seconds()
        return [
            {
                "metric": metric,
                "reason": reason,
                "listener": example.listener,
                "text": shown(example.line),
                "cut": example.cut,
                "age_seconds": round(now - at, 3),
            }
            for (metric, reason), (at, example) in sorted(self._last.items(), key=lambda item: -item[1][0])
        ]


def _left_out(snapshot: Snapshot) -> Iterator[tuple[str, str, int, Sequence[str]]]:
    """Yield each metric of series that are left out, with its reasons, numbers and the last series, if any."""
    stats, flushes = snapshot.stats, snapshot.flushes
    for metric, counts in (("series_conflicts", stats.conflicts), ("series_dropped", stats.dropped)):
        for reason, number in counts.items():
            yield metric, reason, number, [name for known, name in stats.left_out.items() if known == reason]
    yield _TAKEOVERS, _TAKEOVERS, stats.takeovers, stats.taken_over
    if flushes is not None:
        yield _MERGED, _MERGED, flushes.merged, flushes.alike


def shown(line: bytes) -> str:
    r"""Return printable text: ``\n``, ``\x1b`` and ``\u202e`` stand for what is not, ``\\`` for a backslash."""
    return "".join(map(_shown, line.decode(errors="surrogateescape")))


def _shown(character: str) -> str:
    if character.isprintable() and character != "\\":
        return character
    code = ord(character)
    if _FIRST_BYTE <= code <= _FIRST_BYTE + 0xFF:
        return f"\\x{code - _FIRST_BYTE:02x}"
    return character.encode("unicode_escape").decode()
