"""What the supervisor was started with: everything that can fail has been tried before this is made."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import NamedTuple

from statsd_tcp.aggregate.encoding import VERSION
from statsd_tcp.settings.settings import Settings
from statsd_tcp.sockets.inherited import InheritedSockets
from statsd_tcp.sockets.limits import connection_limit
from statsd_tcp.sockets.listener import BoundListener
from statsd_tcp.workers.channel import FIRST_SOCKET, Boot, LaneKind, LaneSpec

__all__ = ["Plan"]


class Plan(NamedTuple):
    """The settings, the bound sockets, the number of workers with its reason, the limits and the places on disk.

    ``descriptors`` is the process's limit of open files, ``backlog`` the kernel's longest accept queue, ``inherited``
    has the sockets of an earlier image of the supervisor that are no longer needed. ``cpus`` has the processor of
    each worker; empty when it does not matter. ``commit_period`` is in seconds.
    """

    settings: Settings
    listeners: list[BoundListener]
    http: BoundListener | None
    admin: BoundListener | None
    workers: int
    workers_reason: str
    descriptors: int
    backlog: int
    state_dir: Path
    inherited: InheritedSockets = InheritedSockets(())
    cpus: tuple[int, ...] = ()
    commit_period: float = 1.0

    def sockets(self, worker: int) -> list[socket.socket]:
        """Return one worker's sockets, in the order of its lanes."""
        return [one for listener in self.listeners for one in listener.sockets[worker]]

    def directory(self) -> list[tuple[str, str]]:
        """Return the listeners' labels and the names of their grammars, as ledgers have them."""
        return [(listener.label, listener.endpoint.grammar) for listener in self.listeners]

    @property
    def connections(self) -> int:
        """Return the open connections that one worker may have."""
        return connection_limit(self.settings.max_connections, self.workers, self.descriptors)

    def boot(self, worker: int, ledger_path: str) -> Boot:
        """Make the first message to a worker."""
        lanes: list[LaneSpec] = []
        for index, listener in enumerate(self.listeners):
            for one in listener.sockets[worker]:
                lanes.append(_lane(FIRST_SOCKET + len(lanes), int(one.family), index, listener, self.settings))
        tls = {index: listener.tls for index, listener in enumerate(self.listeners) if listener.tls is not None}
        settings = self.settings
        cpu = self.cpus[worker] if settings.pin else None
        return Boot(
            ledger_path,
            tuple(lanes),
            self.connections,
            settings.idle_timeout,
            tls,
            settings.repeat,
            cpu,
            settings.first_byte_timeout,
            VERSION,
            settings.max_age,
        )


def _lane(descriptor: int, family: int, index: int, listener: BoundListener, settings: Settings) -> LaneSpec:
    endpoint = listener.endpoint
    return LaneSpec(
        descriptor,
        family,
        index,
        _kind(listener),
        endpoint.framing,
        endpoint.proxy or "",
        endpoint.trusted,
        endpoint.confirm == "read",
        # A datagram costs so little that to ask where it comes from is a good part of it.
        sources=listener.stream or settings.who == "all",
        stores=endpoint.confirm == "stored",
    )


def _kind(listener: BoundListener) -> LaneKind:
    if not listener.stream:
        return "datagrams"
    if listener.tls is not None:
        return "tls"
    return "count" if listener.endpoint.count_only else "lines"
