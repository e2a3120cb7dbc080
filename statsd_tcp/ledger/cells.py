"""Which cells a worker's ledger has: the directory, made from the labels of its listeners."""

from __future__ import annotations

import errno
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from statsd_tcp.ledger.layout import CellName, Directory

__all__ = [
    "ACCEPT_ERRNOS",
    "CLOSE_REASONS",
    "FAILED_READINGS",
    "GLOBAL_CELLS",
    "HEARTBEAT",
    "LIMIT_ACTIONS",
    "ListenerCells",
    "cells_in",
    "ledger_cells",
    "listener_cells",
]

ACCEPT_ERRNOS = ("EMFILE", "ENFILE", "ENOBUFS", "ENOMEM", "ECONNABORTED", "EPERM", "other")
"""The errors of accept(2) that are told apart."""

HEARTBEAT, GAP_MAX, JOURNAL_HEAD, JOURNAL_RELEASED, FAILED_READINGS = range(5)
"""The cells that every ledger begins with: the monotonic time in nanoseconds at which the worker was last alive, the
longest time in nanoseconds in which its reactor did not look at its sockets (`workers.turns`), the journal's two
offsets in bytes, and how often reading the journal has failed after its worker's death. The last is the supervisor's,
who writes it only then."""

_GLOBAL_NAMES = {
    HEARTBEAT: "heartbeat",
    GAP_MAX: "gap_max",
    JOURNAL_HEAD: "journal_head",
    JOURNAL_RELEASED: "journal_released",
    FAILED_READINGS: "failed_readings",
}

GLOBAL_CELLS = tuple(CellName(_GLOBAL_NAMES[cell]) for cell in range(len(_GLOBAL_NAMES)))


class ListenerCells(NamedTuple):
    """Where one listener's cells are: indexes into the ledger."""

    accepted: int
    eof: int
    counted: int
    idle: int
    reset: int
    error: int
    shutdown: int
    evicted: int
    first_byte: int
    max_age: int
    limited: int
    bad_proxy_header: int
    proxy_check: int
    accept_errors: dict[int, int]
    other_accept_error: int
    source_limited: tuple[int, ...]
    paused: int


CLOSE_REASONS = ListenerCells._fields[1 : ListenerCells._fields.index("accept_errors")]
"""Why a worker closed a connection: the fields of `ListenerCells` after ``accepted`` and before the errors of accept.
``killed`` is booked by the supervisor, for a worker that cannot."""

LIMIT_ACTIONS = ("observe", "close", "reset")
"""What happens to a connection whose source is over a limit, in the order of `who.limit_memory`: each has a cell."""

_PER_LISTENER = 1 + len(CLOSE_REASONS) + len(ACCEPT_ERRNOS) + len(LIMIT_ACTIONS) + 1


def ledger_cells(labels: Sequence[str]) -> list[CellName]:
    """Name all cells of a worker that serves these listeners, in order."""
    names = list(GLOBAL_CELLS)
    for label in labels:
        names.append(CellName("accepted", label))
        names.extend(CellName("closed", label, reason) for reason in CLOSE_REASONS)
        names.extend(CellName("accept_errors", label, name) for name in ACCEPT_ERRNOS)
        names.extend(CellName("source_limited", label, action) for action in LIMIT_ACTIONS)
        names.append(CellName("paused", label))
    return names


def cells_in(directory: Directory) -> list[ListenerCells]:
    """Return where a ledger has the cells of each listener, whichever release made the ledger.

    A supervisor whose program was replaced starts workers of the new one with ledgers of its own. A reason that such a
    ledger lacks is counted as ``idle``: a connection that ended for any of these was silent for too long.
    """
    places = {name: place for place, name in enumerate(directory.cells)}
    return [_cells_of(label, places) for label, _ in directory.listeners]


def _cells_of(label: str, places: Mapping[CellName, int]) -> ListenerCells:
    idle = places[CellName("closed", label, "idle")]
    closed = (places.get(CellName("closed", label, reason), idle) for reason in CLOSE_REASONS)
    errors = {name: places[CellName("accept_errors", label, name)] for name in ACCEPT_ERRNOS}
    other = errors.pop("other")
    by_errno = {getattr(errno, name): place for name, place in errors.items()}
    # A supervisor that has no such cells does not limit sources either.
    limited = tuple(places.get(CellName("source_limited", label, action), idle) for action in LIMIT_ACTIONS)
    accepted, paused = places[CellName("accepted", label)], places[CellName("paused", label)]
    return ListenerCells._make((accepted, *closed, by_errno, other, limited, paused))


def listener_cells(index: int) -> ListenerCells:
    """Return the indexes of the cells of the listener with that index, in a ledger with the cells of `ledger_cells`."""
    first = len(GLOBAL_CELLS) + index * _PER_LISTENER
    closed = range(first + 1, first + 1 + len(CLOSE_REASONS))
    errors = range(closed.stop, closed.stop + len(ACCEPT_ERRNOS))
    by_errno = {getattr(errno, name): cell for name, cell in zip(ACCEPT_ERRNOS[:-1], errors, strict=False)}
    limited = range(errors.stop, errors.stop + len(LIMIT_ACTIONS))
    return ListenerCells._make((first, *closed, by_errno, errors[-1], tuple(limited), limited.stop))
