"""Why a receiver refuses at the first attempt what is not at fault itself: what the operator has to look at.

too_old         the time of the samples is an hour or more before the receiver's clock
clock           our clock and the receiver's differ by more than two minutes
cloned_store    else: another service sends series with our labels, as one with a copy of our store does
"""

from __future__ import annotations

from typing import Any, Final

from statsd_tcp.remote_write.clock_guard import MOST_AHEAD, ReceiverClock
from statsd_tcp.words import span

__all__ = ["CLOCK", "CLONE", "LASTS", "TOO_OLD", "Conflict", "cause_of"]

TOO_OLD: Final = "too_old"
CLOCK: Final = "clock"
CLONE: Final = "cloned_store"

LASTS: Final = 600.0
"""Seconds for which the last conflict is shown: of two services with the same labels not each request is refused."""

_OLDEST: Final = 3600.0
"""Seconds. Prometheus takes nothing that is older, unless it is told to."""


class Conflict:
    """The last refusal of which no single series is at fault. Moments are of a clock that is never set."""

    def __init__(self) -> None:
        self._cause = self._text = ""
        self._number = 0
        self._since = self._until = 0.0

    def note(self, cause: str, text: str, now: float) -> bool:
        """Note one; return whether it is another one than before."""
        is_new = cause != self._cause or now > self._until
        if is_new:
            self._number, self._since = 0, now
        self._cause, self._text = cause, text
        self._number += 1
        self._until = now + LASTS
        return is_new

    def text(self, now: float) -> str:
        """Return what is wrong; "" if nothing is."""
        return self._text if self._number and now <= self._until else ""

    def findings(self, output: str, now: float) -> list[dict[str, Any]]:
        """Return it as the status page writes findings."""
        if not self.text(now):
            return []
        finding = {"id": f"remote_write.{self._cause}", "text": f"output {output}: {self._text}"}
        rest = {"setting": "", "command": "", "count": self._number, "seconds": round(now - self._since, 3)}
        return [{**finding, **rest}]


def cause_of(time: float, wall: float, clock: ReceiverClock, now: float) -> tuple[str, str]:
    """Return the cause, and what is to be said of it.

    ``time`` is that of the request and ``wall`` that of our clock, in seconds since 1970; ``now`` is a moment of a
    clock that is never set.
    """
    age = max(wall - time, -clock.ahead(time, now))
    if age >= _OLDEST:
        remedy = "Prometheus takes what is older than an hour only with out_of_order_time_window"
        return TOO_OLD, f"its samples are {span(age)} old ({TOO_OLD}); {remedy}"
    ahead = clock.ahead(wall, now)
    if abs(ahead) > MOST_AHEAD:
        side = "ahead of" if ahead > 0 else "behind"
        return CLOCK, f"our clock is {span(abs(ahead))} {side} the receiver's ({CLOCK})"
    return CLONE, f"another service sends series with the same labels, maybe with a copy of this store ({CLONE})"
