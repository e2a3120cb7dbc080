"""The batches of a lane that have no answer, by the node that they were sent to. Pure."""

from __future__ import annotations

from collections import deque

from statsd_tcp_client.batch import Batch
from statsd_tcp_client.books import Books

__all__ = ["Owed"]


class Owed:
    """Batches in their order, by node; what is given up is put down in the books as in doubt."""

    def __init__(self, books: Books) -> None:
        self._books = books
        self._nodes: dict[str, deque[Batch]] = {}

    def __bool__(self) -> bool:
        return any(self._nodes.values())

    def of(self, node: str) -> deque[Batch]:
        """Return the batches of a node, to be changed."""
        return self._nodes.setdefault(node, deque())

    def has_others(self, node: str) -> bool:
        """Return whether other nodes have batches, too."""
        return any(batches for other, batches in self._nodes.items() if other != node)

    def lots(self) -> list[int]:
        """Return the lots that they are from."""
        return [batch.lot for batches in self._nodes.values() for batch in batches]

    def forget_old(self, now: float, most: float, node: str) -> None:
        """Give up batches that are older than this many seconds, except those of a node."""
        for other, batches in self._nodes.items():
            while batches and other != node and now - batches[0].born > most:
                self._doubt(batches)

    def forget_others(self, most: int, node: str) -> None:
        """Give up batches of other nodes than this, until at most this many bytes of them wait."""
        others = {other: batches for other, batches in self._nodes.items() if other != node}
        size = sum(len(batch.data) for batches in others.values() for batch in batches)
        for other, batches in others.items():
            while batches and size > most:
                size -= len(batches[0].data)
                self._doubt(batches)
            if not batches:
                del self._nodes[other]

    def forget_all(self) -> None:
        """Give up everything."""
        for batches in self._nodes.values():
            while batches:
                self._doubt(batches)

    def _doubt(self, batches: deque[Batch]) -> None:
        self._books.doubt(batches.popleft().made)
