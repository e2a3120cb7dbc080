"""What goes into one commit: the committer fills a `CommitBatch` and gives it to the store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from statsd_tcp.aggregate.batches import Brought
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.ledger.layout import LedgerCounts

if TYPE_CHECKING:
    # At run time it is imported late, with numpy, by the store's thread.
    from statsd_tcp.store.session import Session

__all__ = ["CommitBatch", "Piece"]


class Piece(msgspec.Struct, frozen=True):
    """What was aggregated from a ledger's journal between two of its offsets; ``end`` is not included.

    ``payload`` is an interval as `statsd_tcp.aggregate.encoding` writes it. It stays encoded on its way from the
    worker, or from the reader of a dead worker's journal, into the store's thread. ``recovered`` says that it was
    replayed for a writer that died: its lines are then also counted as recovered.

    `statsd_tcp.store.sessions` adds what the payload says, the ``interval``, and the ``session`` to which the numbers
    in it belong. ``unread``: the payload says nothing that is understood, and that part of the journal has to be read.

    ``batches`` are not in the payload; ``batch_intervals`` are what they say, in the same order. ``whole``: nothing of
    that part of the journal was left out.
    """

    ledger_id: str
    start: int
    end: int
    payload: bytes
    recovered: bool = False
    interval: Interval | None = None
    session: Session | None = None
    unread: bool = False
    batches: Brought = Brought()
    batch_intervals: tuple[Interval, ...] = ()
    whole: bool = True

    def closed(self) -> Piece:
        """Return the piece as it was before its payload was decoded, to be kept."""
        if self.interval is None:
            return self
        return msgspec.structs.replace(self, interval=None, batch_intervals=())


class CommitBatch(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that one transaction takes in; any part may be empty, and all of it may be given again.

    ``counts``: ledgers with a living writer, and once more those whose writer is gone, with their final
    numbers. They are taken in first, and make a ledger known. ``pieces``: in the order of their offsets
    for each ledger. ``folded``: ids of ledgers whose writer is dead and whose cells are final. ``unlinked``:
    ids of folded ledgers whose file is gone, so that their row is no longer needed. ``delivered``: flushes that
    outputs have written, as pairs of the output and the flush's number.
    """

    counts: Sequence[LedgerCounts] = ()
    pieces: Sequence[Piece] = ()
    folded: Sequence[str] = ()
    unlinked: Sequence[str] = ()
    delivered: Sequence[tuple[str, int]] = ()
