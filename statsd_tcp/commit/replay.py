"""What a dead worker's journal still holds, read as the worker would have read it."""

from __future__ import annotations

import msgspec

from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.tally import tally_for
from statsd_tcp.ledger.cells import JOURNAL_HEAD
from statsd_tcp.ledger.file import LedgerMap
from statsd_tcp.ledger.journal import read_frames

__all__ = ["Replay", "replay"]

_NOTHING = encode(Interval())


class Replay(msgspec.Struct, frozen=True):
    """What reading a journal from ``start`` to ``end`` gave: an interval, encoded.

    ``fault`` says in words why that is not all that there was; empty if it is.
    """

    start: int
    end: int
    payload: bytes = _NOTHING
    fault: str = ""


def replay(ledger: LedgerMap, start: int, until: int | None = None) -> Replay:
    """Read the frames behind the committed offset ``start``, up to ``until`` or the end of all.

    The writer must be dead, or have gone beyond ``until`` and have nothing released behind ``start``. Only whole frames
    count. Frames of listeners that the directory doesn't name end the replay as damaged ones do.
    """
    listeners = ledger.directory.listeners
    tally = tally_for(listeners)
    end = start
    head = ledger.cells[JOURNAL_HEAD] if until is None else until
    for frame in read_frames(ledger.ring, start, head):
        if frame.listener >= len(listeners):
            break
        tally.add(frame.listener, frame.lines, frame.tick)
        tally.received(frame.listener, frame.received)
        tally.datagrams(frame.listener, frame.datagrams)
        end = frame.next
    fault = f"{head - end} bytes of its journal are damaged" if end < head else ""
    return Replay(start, end, encode(tally.take()), fault)
