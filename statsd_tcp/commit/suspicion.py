"""Which piece of a journal is read next, and what the death of its reader says: all from the ledger's suspect.

suspect                       what is read next, from the committed offset on     if the reader dies
none                          a piece, quickly                                    (start, 0)
(anywhere, 0)                 a piece, frame by frame                             (the frame named last, 1)
(behind start, any)           frame by frame up to the suspect                    (the frame named last, 1)
(start, 1)                    the suspect alone                                   (start, 2)
(start, 2)                    the suspect is skipped                              no news

Each row but the last leads to one with fewer frames, or more deaths: so reading always comes to the end of a journal. A
frame that used up its time counts as one that has ended two.
"""

from __future__ import annotations

from typing import NamedTuple

from statsd_tcp.commit.replay_process import ReadRequest
from statsd_tcp.ledger.suspect import MOST_DEATHS, Suspect

__all__ = ["Death", "next_request", "suspect_after"]


class Death(NamedTuple):
    """A reading process that ended without a result: at which offset, if it named one, and whether it was slow."""

    offset: int | None
    was_slow: bool


def next_request(path: str, start: int, until: int | None, suspect: Suspect | None) -> ReadRequest:
    """Return what is to be read of a journal from ``start`` on."""
    if suspect is None:
        return ReadRequest(path, start, until)
    if suspect.deaths == 0:
        return ReadRequest(path, start, until, mode="careful", passed=1)
    if suspect.offset > start or suspect.deaths < MOST_DEATHS:
        return ReadRequest(path, start, until, suspect.offset, "careful", 1 + suspect.deaths)
    return ReadRequest(path, start, until, mode="skip", passed=1 + suspect.deaths)


def suspect_after(request: ReadRequest, death: Death, before: Suspect | None) -> Suspect | None:
    """Return the suspect after a death, None if it says nothing about the journal."""
    if request.mode == "quick":
        return Suspect(request.start, 0)
    if request.mode == "skip" or death.offset is None:
        return None
    if death.was_slow:
        return Suspect(death.offset, MOST_DEATHS)
    again = before is not None and before.offset == death.offset
    return Suspect(death.offset, 1 + (before.deaths if before is not None and again else 0))
