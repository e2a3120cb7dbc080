"""Which processors belong to the workers, and which to the clients."""

from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["CLIENTS_EACH", "Shares", "share"]

CLIENTS_EACH = 2
"""Processors for the clients of each worker, where there are that many. On loopback the clients' processor pays for
most of a handshake, and one of them is not enough to keep a worker busy."""


class Shares(NamedTuple):
    """The processors of the service, one for each worker, and those of the clients."""

    server: tuple[int, ...]
    clients: tuple[int, ...]


def share(cpus: Sequence[int], workers: int) -> Shares | None:
    """Divide the processors for that many workers; None when they are too few for one of the clients' own."""
    if len(cpus) <= workers:
        return None
    return Shares(tuple(cpus[:workers]), tuple(cpus[workers : workers + CLIENTS_EACH * workers]))
