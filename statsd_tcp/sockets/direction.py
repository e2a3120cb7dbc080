"""How the connections of a group are shared out while every worker takes its part: by hash, or by processor."""

from __future__ import annotations

import socket
from collections.abc import Sequence

from twisted.logger import Logger

from statsd_tcp.sockets.listener import BoundListener
from statsd_tcp.sockets.steering import attach, detach, program_by_cpu

__all__ = ["Direction"]


class Direction:
    """The usual way for new connections. ``cpus`` has the processor of each worker; empty: the kernel's hash decides.

    Datagrams always go by the hash: what one client says of a gauge must stay in order, and clients change processors.
    """

    _log = Logger()

    def __init__(self, cpus: Sequence[int] = ()) -> None:
        self._program = program_by_cpu(cpus) if len(cpus) > 1 else []

    def begin(self, listeners: Sequence[BoundListener], *, inherited: bool) -> None:
        """Steer all listeners, once they listen; an earlier image's ``inherited`` groups may be steered otherwise."""
        for listener in listeners:
            if listener.in_groups and not listener.ordered:
                self._log.warn(
                    "the order of the sockets that systemd passed for {label} is not known: connections go by hash, and"
                    " also to a worker that gives no sign of life",
                    label=listener.label,
                )
        if not self._program and not inherited:
            return
        members = [group[0] for listener in listeners for group in listener.groups]
        for member in members:
            try:
                self.restore(member)
            except OSError as error:
                # Else there was nothing to detach.
                if self._program and member.type == socket.SOCK_STREAM:
                    self._log.error("connections can't be steered by processor, but by hash: {error}", error=error)
                    return

    def restore(self, member: socket.socket) -> None:
        """Go back to the usual way in the group of ``member``; raises `OSError`."""
        if self._program and member.type == socket.SOCK_STREAM:
            attach(member, self._program)
        else:
            detach(member)
