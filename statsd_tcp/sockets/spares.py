"""Sockets for workers that there may be later.

After a change of user nothing can join a SO_REUSEPORT group any more, and no port below 1024 can be bound. But a TCP
socket that is bound and does not listen is in no group yet and gets no connections, and whoever has it may let it
listen: then it joins, behind all others. So some are bound while that can be done, and one that is not needed any
more stops listening and stays bound. A UDP socket would get its share of the datagrams as soon as it is bound: of
those there are no spare ones.
"""

from __future__ import annotations

import socket

from statsd_tcp.kernel.accept_queue import queue_state
from statsd_tcp.settings.endpoints import Endpoint
from statsd_tcp.sockets.listener import BoundListener, bind_row

__all__ = ["MOST", "growing", "lay_by", "stop_listening"]

MOST = 64
"""So many workers' sockets are bound early at most, listening or not: two descriptors for each listener."""


def growing(listener: BoundListener) -> bool:
    """Tell whether it has TCP sockets that others can join."""
    return (
        listener.stream
        and listener.in_groups
        and all(one.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT) for one in listener.sockets[0])
    )


def lay_by(listener: BoundListener, workers: int, endpoint: Endpoint | None = None) -> None:
    """Bind until there are sockets for so many workers, listening or spare; raises `OSError`.

    ``endpoint`` says of what kind they shall be, if not of the listener's.
    """
    for _ in range(len(listener.sockets) + len(listener.spare), workers):
        listener.spare.append(bind_row(endpoint or listener.endpoint, listener.sockets[0]))


def stop_listening(row: list[socket.socket]) -> bool:
    """Have TCP sockets leave their groups, and stay bound; tell whether they have: not if a client waits.

    Who is still in the queue of such a socket would be reset.
    """
    try:
        if any(queue_state(one)[0] for one in row):
            return False
        for one in row:
            one.shutdown(socket.SHUT_RD)
    except OSError:
        return False
    return True
