"""The accept lane: takes short connections off a listening socket without making a transport of them.

A reader of our own on the listening descriptor accepts up to a budget, counts each connection in shared memory right
after accept(2) returns, reads without waiting what the client has sent, and closes when the client is done. Only a
connection that stays unfinished is handed to the reactor, with an ordinary Factory and Protocol.
"""

from __future__ import annotations

import errno
import socket
from _socket import socket as raw_socket
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from statsd_tcp.ingest.limits import ListenerLimits
from statsd_tcp.ingest.moderation import Moderator
from statsd_tcp.ingest.sources import ListenerSources, packed_address
from statsd_tcp.ingest.watched import Watched
from statsd_tcp.ledger.cells import ListenerCells

__all__ = ["RECEIVE_SIZE", "AcceptLane", "CountLane"]

BUDGET = 256
"""Connections accepted in one poll, so that long-lived connections and timers get their turn: some 4 milliseconds."""

RECEIVE_SIZE = 65536
"""Bytes read at once."""

FULL_PAUSE = 0.1
"""Seconds without accepting after the process or the machine ran out of descriptors or memory."""

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_DONTWAIT = socket.MSG_DONTWAIT
_STREAM = socket.SOCK_STREAM


class AcceptLane(Watched[socket.socket]):
    """One listening socket and what becomes of its connections. `serve` is what the kinds of lane differ in."""

    _is_headed = False
    """Whether the peer is a balancer, which says in a header who the client is."""

    def __init__(
        self,
        reactor: Any,
        listener: socket.socket,
        cells: memoryview,
        indexes: ListenerCells,
        moderator: Moderator,
        lost: Callable[[Failure], None],
        sources: ListenerSources | None = None,
        limits: ListenerLimits | None = None,
    ) -> None:
        """Serve ``listener``, which must not block, counting in the ledger's ``cells`` at these indexes.

        ``sources``: where it is told who connects, if it is. ``limits``: what one source may do, if that is limited.
        """
        super().__init__(reactor, listener, moderator, lost)
        self._family = listener.family
        # The method of the C class: it gives the bare descriptor, without wrapping it in a socket object.
        self._accept: Callable[[], tuple[int, Any]] = listener._accept  # type: ignore[attr-defined]  # noqa: SLF001
        self._cells = cells
        self._indexes = indexes
        self._sources = sources
        self._limits = limits
        self._retry: IDelayedCall | None = None
        self.holds: set[str] = set()

    def pause(self, why: str) -> None:
        """Accept nothing, until `resume` was called for every reason to pause."""
        if not self.holds:
            # A number, not a flag: the lanes of a listener's two address families share the cell.
            self._cells[self._indexes.paused] += 1
        self.holds.add(why)
        self._moderator.remove(self)

    def resume(self, why: str) -> None:
        """Accept again, if nothing else holds it, unless it was stopped meanwhile."""
        if why not in self.holds:
            return
        self.holds.remove(why)
        if not self.holds:
            self._cells[self._indexes.paused] -= 1
            if not self._stopped:
                self._moderator.add(self)

    def poll(self) -> int:
        """Accept up to the budget, and return the number of connections."""
        accept, serve, cells, accepted = self._accept, self.serve, self._cells, self._indexes.accepted
        sources, limits, family = self._sources, self._limits, self._family
        taken = 0
        try:
            while taken < BUDGET and self.may_accept():
                descriptor, peer = accept()
                cells[accepted] += 1
                taken += 1
                origin = None if sources is None else sources.arrived(descriptor, family, peer)
                if limits is not None and not self._is_headed:
                    origin = origin or packed_address(peer[0])
                    if not limits.admits(origin):
                        limits.turn_away(family, descriptor)
                        continue
                serve(descriptor, origin)
        except BlockingIOError:
            pass
        except OSError as error:
            self.exhausted(error.errno or 0)
        return taken

    def stop(self) -> None:
        """Stop accepting for good; only a call of `poll` still accepts."""
        super().stop()
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def may_accept(self) -> bool:
        """Return whether one more connection can be taken now."""
        return True

    def serve(self, descriptor: int, origin: bytes | None) -> None:
        """Deal with one accepted connection. Must not raise for anything that a client does."""
        raise NotImplementedError

    def exhausted(self, number: int) -> None:
        """Count an error of the machine's, and accept nothing for a moment if it is short of something."""
        indexes = self._indexes
        self._cells[indexes.accept_errors.get(number, indexes.other_accept_error)] += 1
        if number in _EXHAUSTED and self._retry is None:
            self.pause("descriptors")
            self._retry = self._reactor.callLater(FULL_PAUSE, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self.resume("descriptors")


class CountLane(AcceptLane):
    """A port whose connections are accepted, counted and closed."""

    def serve(self, descriptor: int, origin: bytes | None) -> None:
        """Read once, into the bin, and close.

        Closing with unread data sends a reset: a client that had sent something would see an error instead of an end.
        """
        connection = raw_socket(self._family, _STREAM, 0, descriptor)
        reason = self._indexes.counted
        try:
            connection.recv(RECEIVE_SIZE, _DONTWAIT)
        except BlockingIOError:
            pass
        except OSError:
            reason = self._indexes.reset
            if self._sources and origin:
                self._sources.was_reset(origin)
        # Counted first: if we die in between, our death closes it.
        self._cells[reason] += 1
        connection.close()
