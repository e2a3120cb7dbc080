"""All worker slots: those that are configured, and those that no longer are, until their clients are gone."""

from __future__ import annotations

import socket
from collections.abc import Container, Iterator
from functools import partial
from typing import Any, NamedTuple

from statsd_tcp.children import Children
from statsd_tcp.ledger.folder import Ledger, LedgerFolder
from statsd_tcp.supervisor.launcher import Launcher
from statsd_tcp.supervisor.manifest import InheritedWorker
from statsd_tcp.supervisor.start_plan import Plan
from statsd_tcp.supervisor.worker_slot import SlotEvents, State, WorkerSlot
from statsd_tcp.who.limit_board import LimitBoard
from statsd_tcp.who.memory import SourceBoard

__all__ = ["Slots", "WorkerFacts"]


class WorkerFacts(NamedTuple):
    """One worker as it is now.

    ``pid`` and ``ledger`` are those of the process that accepts, or is about to; 0 and None while there is none.
    ``avoided`` says that it gets no new connections; ``leaving`` counts replaced processes that still have clients.
    """

    number: int
    state: State
    pid: int
    avoided: bool
    leaving: int
    ledger: Ledger | None


class Slots:
    """The slots of one service; iterated over, all of them.

    ``present`` are those that the plan wants, by number. ``departing`` are without sockets: a worker that is there
    serves its clients to the end, and has no successor.
    """

    def __init__(
        self,
        reactor: Any,
        children: Children,
        plan: Plan,
        ledger_folder: LedgerFolder,
        events: SlotEvents,
        board: SourceBoard | None = None,
        limits: LimitBoard | None = None,
    ) -> None:
        self._reactor = reactor
        self._children = children
        self._plan = plan
        self._ledger_folder = ledger_folder
        self._events = events
        self._board = board
        self._limits = limits
        directory = plan.directory()
        self.present = [self._make(number, plan.sockets(number), directory) for number in range(plan.workers)]
        self.departing: list[WorkerSlot] = []

    def __iter__(self) -> Iterator[WorkerSlot]:
        """Iterate over all slots, also those that are being given up."""
        yield from self.present
        yield from self.departing

    def of(self, number: int) -> WorkerSlot:
        """Return the slot for a worker that an earlier image has left: a departing one, if the plan has none for it."""
        if number < len(self.present):
            return self.present[number]
        slot = self._make(number, [], [])
        # It has no sockets for a worker more: one that dies there has left a little early.
        slot.hold()
        self.departing.append(slot)
        return slot

    def facts(self, avoided: Container[int]) -> list[WorkerFacts]:
        """Return what is known of each present worker, by number; ``avoided`` are those that get no connections."""
        return [
            WorkerFacts(
                slot.number,
                slot.state,
                slot.pid,
                slot.number in avoided,
                len(slot.leaving),
                slot.current.ledger if slot.current is not None else None,
            )
            for slot in self.present
        ]

    @property
    def are_empty(self) -> bool:
        """Return whether all processes have ended."""
        return not any(slot.processes for slot in self)

    @property
    def have_starting(self) -> bool:
        """Return whether a worker has been started that does not accept yet, as far as is known."""
        return any(one.ready_at is None for slot in self for one in slot.processes)

    def handed_on(self) -> tuple[list[InheritedWorker], list[int]]:
        """Return the workers that the next image goes on with, and the processes that are only to be reaped.

        A worker that is only starting ends with its channel, and is reaped as those that have said their last word.
        """
        workers = [worker for slot in self for worker in slot.handed_on()]
        pids = {worker.pid for worker in workers}
        living = [one.child.pid for slot in self for one in slot.processes if one.child.ending is None]
        return workers, [pid for pid in living if pid not in pids]

    def _make(self, number: int, sockets: list[socket.socket], listeners: list[tuple[str, str]]) -> WorkerSlot:
        boot = partial(self._plan.boot, number)
        common = self._ledger_folder, self._board, self._limits
        launcher = Launcher(self._reactor, self._children, number, sockets, listeners, boot, *common)
        return WorkerSlot(self._reactor, launcher, self._events)
