"""Which piece of a journal is read next, and what the death of its reader says: all from the ledger's suspect.

suspect                       what is read next, from the committed offset on     if the reader dies of it
none                          a piece, quickly                                    (start, 0)
(anywhere, 0)                 a piece, frame by frame                             (the frame named last, 1)
(after start, any)            frame by frame up to the suspect                    (the frame named last, 1)
(start, 1)                    the suspect alone                                   (start, 2)
(start, 2)                    the suspect is skipped                              nothing

Each row but the last leads to one with fewer frames, or more deaths: so reading always comes to the end of a journal. A
frame that used up its time counts as one that has ended two.

Not every death is the frame's fault:

cause      how it ended                                         what it says
frame      a signal that only its own doing brings; an          as above
           unforeseen exception; without a result
time       too much of the processor, or it hung                as above
memory     SIGKILL, as the kernel does when memory is short;    quickly: read frame by frame. Then nothing, until it
           no memory                                            was so `MOST_KILLS` times in a row at one frame
outside    any other signal: it was sent from outside            nothing
"""

from __future__ import annotations

import signal
from typing import Literal, NamedTuple

import msgspec

from statsd_tcp.aggregate.encoding import VERSION
from statsd_tcp.children import Ending
from statsd_tcp.commit.replay_process import NO_MEMORY, ReadRequest
from statsd_tcp.ledger.suspect import MOST_DEATHS, Suspect

__all__ = ["MOST_KILLS", "Cause", "Death", "cause_of", "next_request", "suspect_after"]

MOST_KILLS = 8
"""So often in a row may a reader of one frame be killed for want of memory until that counts as one death of the
frame's. With the pauses between them that is two minutes: memory may be short for a while, but a frame that takes all
there is must not hold up its journal for ever."""

Cause = Literal["frame", "time", "memory", "outside"]
"""What a death points at; see above."""

_OWN_DOING = (signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT, signal.SIGILL, signal.SIGFPE)


class Death(NamedTuple):
    """A reading process that ended without a result: which frame it was reading, if one, and what of."""

    offset: int | None
    cause: Cause


def cause_of(ending: Ending) -> Cause:
    """Return what a process that ended without a result ended of."""
    if ending.signal == signal.SIGPROF:
        return "time"
    if ending.signal == signal.SIGKILL or ending.status == NO_MEMORY:
        return "memory"
    if ending.signal in _OWN_DOING or ending.status is not None:
        return "frame"
    return "outside"


def next_request(path: str, start: int, until: int | None, suspect: Suspect | None) -> ReadRequest:
    """Return what is to be read of a journal from ``start`` on."""
    quick = ReadRequest(path, start, until, interval=VERSION)
    if suspect is None:
        return quick
    passed = 1 + suspect.deaths
    if suspect.deaths == 0:
        return msgspec.structs.replace(quick, mode="careful", passed=passed)
    if suspect.offset > start or suspect.deaths < MOST_DEATHS:
        return msgspec.structs.replace(quick, stop=suspect.offset, mode="careful", passed=passed)
    return msgspec.structs.replace(quick, mode="skip", passed=passed)


def suspect_after(request: ReadRequest, death: Death, before: Suspect | None) -> Suspect | None:
    """Return the suspect after a death, None if it says nothing about the journal."""
    if death.cause == "outside":
        return None
    if request.mode == "quick":
        return Suspect(request.start, 0)
    if request.mode == "skip" or death.offset is None or death.cause == "memory":
        return None
    if death.cause == "time":
        return Suspect(death.offset, MOST_DEATHS)
    again = before is not None and before.offset == death.offset
    return Suspect(death.offset, 1 + (before.deaths if before is not None and again else 0))
