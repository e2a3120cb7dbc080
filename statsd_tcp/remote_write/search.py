"""Looking for what a receiver refuses of a request: by halves, down to the series, with few requests.

                 refused
           .-------'-------.
         taken           refused
                      .----'----.
                    taken     refused: a single series, which is left out for an hour

If nothing of the request is taken, no series is at fault: it is too old, or another node has this one's labels, or a
clock is wrong. Then it is skipped as a whole. The same holds if the moment of the last commit is refused: its labels
are ours, and it is another number in each slot. Of the others some may have the same numbers with the other node. That
series is among the first of a slot, so that it is found soon. Before it is only the one that tells stores apart, which
so is always taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from statsd_tcp.remote_write.conversation import Conversation, Outcome
from statsd_tcp.remote_write.encoding import compressed, labels_of, read_labels, split
from statsd_tcp.remote_write.labels import NAME

__all__ = ["LEFT_OUT_FOR", "LeftOut", "Search"]

LEFT_OUT_FOR: Final = 3600.0
"""Seconds for which a series that was refused is left out."""

MOST_REQUESTS: Final = 64
"""Of a search."""

_WITNESS: Final = "statscounter_last_commit_timestamp_seconds"

_MOST_NAMED, _LONGEST_NAME = 3, 80


class Search:
    """One search, in the series of a request."""

    def __init__(self, conversation: Conversation, *, impatient: bool) -> None:
        self._conversation = conversation
        self._impatient = impatient
        self._left = MOST_REQUESTS
        self.refused: list[bytes] = []
        self.taken = self.repeated = self.unsearched = 0
        self.is_conflict = False

    @property
    def is_any_taken(self) -> bool:
        """Return whether the receiver has any of the series."""
        return bool(self.taken or self.repeated)

    @property
    def named(self) -> str:
        """Return the labels of the first series that were refused, in words."""
        return ", ".join(_in_words(each) for each in self.refused[:_MOST_NAMED])

    async def look_into(self, body: bytes) -> None:
        """Take a request apart that was refused."""
        await self._look(split(body))

    async def _look(self, series: Sequence[bytes]) -> None:
        """Find out what of some series that were refused together is refused, and have the rest taken."""
        if len(series) == 1:
            self.refused.append(series[0])
            if dict(read_labels(labels_of(series[0]))).get(NAME) == _WITNESS and not self._impatient:
                self.is_conflict = True
                self._left = 0
            return
        middle = len(series) // 2
        for half in (series[:middle], series[middle:]):
            if not self._left:
                self.unsearched += len(half)
                continue
            self._left -= 1
            outcome = await self._conversation.settle(compressed(half), may_be_there=False, impatient=self._impatient)
            if outcome is Outcome.TAKEN:
                self.taken += len(half)
            elif outcome is Outcome.REPEATED:
                self.repeated += len(half)
            else:
                await self._look(half)


class LeftOut:
    """The series that are left out for a while, by their labels. Moments are of a clock that is never set."""

    def __init__(self) -> None:
        self._until: dict[bytes, float] = {}

    def add(self, series: bytes, now: float) -> None:
        """Leave a series out."""
        self._until[labels_of(series)] = now + LEFT_OUT_FOR

    def is_any(self, now: float) -> bool:
        """Return whether there are any; those of which the time is over are there no more."""
        self._until = {labels: until for labels, until in self._until.items() if until > now}
        return bool(self._until)

    def without(self, body: bytes) -> tuple[bytes, int]:
        """Return a request without them, and how many of its series are left out."""
        series = split(body)
        kept = [each for each in series if labels_of(each) not in self._until]
        return (body, 0) if len(kept) == len(series) else (compressed(kept), len(series) - len(kept))


def _in_words(series: bytes) -> str:
    text = " ".join(f"{name}={value}" for name, value in read_labels(labels_of(series)))
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}..."
