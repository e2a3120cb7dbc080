"""The process's descriptor limit, and how many connections may be open under it."""

from __future__ import annotations

import resource

__all__ = ["RESERVED_DESCRIPTORS", "connection_limit", "raise_descriptor_limit"]

RESERVED_DESCRIPTORS = 128
"""Descriptors of a worker kept free of clients: listeners, ledger, channel, the reactor's own, and the second one that
a connection has for a moment while it is handed from the accept lane to the reactor."""


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files to the hard one, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def connection_limit(wanted: int | None, workers: int, descriptors: int) -> int:
    """Return the open connections that each of ``workers`` workers may have.

    ``wanted`` is the operator's figure for all workers, or None; ``descriptors`` is the worker's descriptor limit,
    which is never exceeded.
    """
    possible = max(1, descriptors - RESERVED_DESCRIPTORS)
    if wanted is None:
        return possible
    return min(possible, -(-wanted // workers))
