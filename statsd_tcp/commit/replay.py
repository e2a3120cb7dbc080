"""What a dead worker's journal still holds, read as the worker would have read it."""

from __future__ import annotations

from typing import NamedTuple

from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.tally import tally_for
from statsd_tcp.ledger.file import LedgerMap
from statsd_tcp.ledger.journal import read_frames
from statsd_tcp.ledger.slots import JOURNAL_HEAD

__all__ = ["Replay", "replay"]


class Replay(NamedTuple):
    """An interval made of the journal from ``start`` to ``end``; whole only if that is all there is, up to ``head``."""

    start: int
    end: int
    head: int
    interval: Interval


def replay(ledger: LedgerMap, start: int, until: int | None = None) -> Replay:
    """Read the frames behind the committed offset ``start``, up to ``until`` or the end of all.

    The writer must be dead, or have gone beyond ``until`` and have nothing released behind ``start``. Only whole frames
    count. Frames of listeners that the directory doesn't name end the replay as damaged ones do.
    """
    listeners = ledger.directory.listeners
    tally = tally_for(listeners)
    end = start
    head = ledger.slots[JOURNAL_HEAD] if until is None else until
    for frame in read_frames(ledger.ring, start, head):
        if frame.listener >= len(listeners):
            break
        tally.add(frame.listener, frame.lines, frame.tick)
        tally.received(frame.listener, frame.received)
        tally.datagrams(frame.listener, frame.datagrams)
        end = frame.next
    return Replay(start, end, head, tally.take())
