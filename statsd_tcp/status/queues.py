"""What the kernel says of the listeners' sockets: what waits in their queues, and what was dropped there."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Literal

from statsd_tcp.kernel.accept_queue import read_queue, receive_drops
from statsd_tcp.sockets.listener import BoundListener
from statsd_tcp.status.own_metrics import WorkerQueue

__all__ = ["drops", "queues"]


def queues(listeners: Sequence[BoundListener]) -> list[WorkerQueue]:
    """Read the queues of all listeners whose clients connect."""
    return [
        queue
        for listener in listeners
        if listener.stream
        for worker, sockets in listener.queues
        if (queue := _queue(listener.label, worker, sockets)) is not None
    ]


def drops(listener: BoundListener) -> int:
    """Return how many datagrams the kernel has dropped at a listener."""
    return sum(receive_drops(one) for row in listener.sockets for one in row)


def _queue(label: str, worker: int | Literal["shared"], sockets: list[socket.socket]) -> WorkerQueue | None:
    """Describe a worker's queue, of its two address families the fuller one; None where the kernel will not tell."""
    try:
        found = [read_queue(one) for one in sockets]
    except OSError:
        return None
    dropped = sum(queue.drops for queue in found)
    return WorkerQueue(label, worker, max(found)._replace(drops=dropped))
