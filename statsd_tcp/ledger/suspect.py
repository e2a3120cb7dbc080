"""Which frame of a journal has ended its reader, and how often: kept in the ledger's own cell `FAILED_READINGS`.

    63                                   3   2   1   0
    | offset of the frame, a multiple of 8 | 1 | deaths |

It has to outlive everything: a frame that ends the machine's every attempt to read it must not be tried at every start.
Release 0.1.0 counted the failures of the whole journal there, up to 2, without the bit 2. It sets a journal aside that
has a suspect, because it takes the number for many failures.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["MOST_DEATHS", "Suspect", "pack_suspect", "unpack_suspect"]

MOST_DEATHS = 2
"""After it has killed this many readers, over all starts of the service, a frame is skipped."""

_OURS = 4
_DEATHS = 3


class Suspect(NamedTuple):
    """The frame at ``offset`` has ended that many readers by itself.

    With 0 ``deaths`` it is not known which frame after ``offset`` did.
    """

    offset: int
    deaths: int


def pack_suspect(suspect: Suspect | None) -> int:
    """Return the cell's number."""
    return 0 if suspect is None else suspect.offset | _OURS | min(suspect.deaths, MOST_DEATHS)


def unpack_suspect(number: int, start: int) -> Suspect | None:
    """Return what the cell says to a reader that begins at ``start``; None if it says nothing about what is there."""
    if not number & _OURS:
        # What release 0.1.0 counted was somewhere after where it began.
        return Suspect(start, 0) if number else None
    suspect = Suspect(number & ~(_OURS | _DEATHS), number & _DEATHS)
    return suspect if suspect.offset >= start else None
