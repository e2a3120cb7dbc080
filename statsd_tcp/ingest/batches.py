"""Where every batch goes in a worker: into the journal, to the supervisor, and when it is in the store, its client.

::

    batch ---> journal, up to an offset ---> sum ---> with the next answer to the supervisor
                          |
                 "committed" passes it ---> !stored

The supervisor says only up to where the journal is in the store. That is enough: a commit takes a batch in, or finds
that it was taken in before, and either way the batch is stored.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from statsd_tcp.aggregate.batches import BatchSum, BatchTally, Brought
from statsd_tcp.ingest.intake import Intake
from statsd_tcp.wire.batches import Batch, Refusal

__all__ = ["BatchIntake", "Sender"]

_MUCH = 1 << 20
"""Bytes of sums that are handed over early."""


class Sender(Protocol):
    """A connection that brings batches."""

    def greet(self, node: str) -> None:
        """Tell the client which node it is."""

    def confirm(self, sequence: int, good: int, bad: int) -> None:
        """Tell the client that a batch is stored."""

    def leave_unconfirmed(self) -> None:
        """End the connection: of a batch that it has brought it is not known whether it is stored."""


class _UnderWay(NamedTuple):
    """A batch that waits for the commit of the journal up to ``end``."""

    end: int
    sender: Sender
    sequence: int
    good: int
    bad: int


class BatchIntake:
    """The batches of a worker. ``labels`` are those of its listeners, by index.

    ``much`` is called when the supervisor should be answered soon.
    """

    def __init__(self, intake: Intake, tally: BatchTally, labels: Sequence[str], much: Callable[[], object]) -> None:
        self._intake = intake
        self._tally = tally
        self._labels = labels
        self.examples = tally.examples
        self._much = much
        self._node = ""
        # As a set in order: they may be many, and go at any time.
        self._awaiting_node: dict[Sender, None] = {}
        self._under_way: deque[_UnderWay] = deque()
        self._sums: list[BatchSum] = []
        self._held = 0
        self._refused: Counter[tuple[str, str]] = Counter()

    @property
    def are_under_way(self) -> bool:
        """Return whether a batch waits for its commit."""
        return bool(self._under_way)

    def greet(self, sender: Sender) -> None:
        """Greet a client that has said who it is, as soon as it is known which node this is."""
        if self._node:
            sender.greet(self._node)
        else:
            self._awaiting_node[sender] = None

    def be(self, node: str) -> None:
        """Be of the node whose store has this UUID; "" is of no use."""
        if node:
            self._node = node
            waiting, self._awaiting_node = self._awaiting_node, {}
            for sender in waiting:
                sender.greet(node)

    def forget(self, sender: Sender) -> None:
        """Greet a client no more: it is gone. What it has brought is stored all the same."""
        self._awaiting_node.pop(sender, None)

    def take(self, listener: int, batch: Batch, sender: Sender, origin: bytes | None = None) -> None:
        """Take a whole batch, which has come from ``origin``."""
        intake = self._intake
        intake.take_batch(listener, batch.key, batch.lines, batch.received, origin)
        judged = self._tally.judge(listener, batch.key, batch.lines, intake.tick)
        intake.note_batch(listener, origin, batch.lines.count(b"\n"), batch.received, judged.bad)
        # What is bad is known here, and who sent it.
        self.examples.take_bad()
        end = intake.journal.head
        self._under_way.append(_UnderWay(end, sender, batch.key.sequence, judged.good, judged.bad))
        self._sums.append(judged.sum)
        self._held += len(judged.sum.payload)
        if self._held > _MUCH:
            self._much()

    def refuse(self, listener: int, refusal: Refusal) -> None:
        """Count what is no batch, and keep an example of it."""
        label = self._labels[listener]
        self._refused[label, refusal.reason] += 1
        self.examples.listener = label
        self.examples.note(refusal.reason, refusal.beginning)

    def gathered(self) -> Brought:
        """Return what came since the last time."""
        if not (self._sums or self._refused):
            return _NOTHING
        brought = Brought(tuple(self._sums), tuple((*key, number) for key, number in self._refused.items()))
        self._sums, self._held = [], 0
        self._refused.clear()
        return brought

    def committed(self, offset: int, *, whole: bool) -> None:
        """Confirm what is stored: the journal up to there, ``whole`` or with something left out."""
        waiting = self._under_way
        while waiting and waiting[0].end <= offset:
            batch = waiting.popleft()
            if whole:
                batch.sender.confirm(batch.sequence, batch.good, batch.bad)
            else:
                batch.sender.leave_unconfirmed()


_NOTHING = Brought()
