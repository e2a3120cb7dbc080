"""The supervisor: keeps the sockets and the workers, and has what they gather committed once a second."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, get_args

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.examples import Example
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.children import Children
from statsd_tcp.commit.committer import Committer
from statsd_tcp.ledger.folder import Ledger, LedgerFolder
from statsd_tcp.repeat.queue import Repeated
from statsd_tcp.sockets.steering import Steering
from statsd_tcp.store.batch import Piece
from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.supervisor.handover import Handover
from statsd_tcp.supervisor.manifest import InheritedWorker, Manifest
from statsd_tcp.supervisor.rounds import Rounds
from statsd_tcp.supervisor.shutdown import Shutdown
from statsd_tcp.supervisor.slots import Slots, WorkerFacts
from statsd_tcp.supervisor.stalls import StallWatch
from statsd_tcp.supervisor.start_plan import Plan
from statsd_tcp.supervisor.worker_process import Outcome
from statsd_tcp.supervisor.worker_slot import WorkerSlot
from statsd_tcp.who.limit_board import LimitBoard
from statsd_tcp.who.memory import SourceBoard
from statsd_tcp.workers.channel import Gathered

__all__ = ["BOOT_TRIES", "Supervisor", "SupervisorEvents"]

BOOT_TRIES = 3
"""The service gives up after this many workers failed to start, if none has ever started."""

_NOTHING = encode(Interval())

ORPHAN_CHECK = 0.1
"""Seconds between two checks whether the workers of an earlier run have ended."""


class SupervisorEvents(Protocol):
    """What the supervisor tells the service."""

    def every_second(self) -> None:
        """A second of the clock has begun."""

    def all_accept(self) -> None:
        """For the first time all workers accept."""

    def reloaded(self) -> None:
        """Workers and sockets are as the new configuration wants them."""

    def repeated(self, worker: int, news: Sequence[Repeated]) -> None:
        """A worker says what became of the lines that it sent on."""

    def rejected(self, examples: Sequence[Example]) -> None:
        """A worker gives examples of what it rejected."""

    def give_up(self, why: str) -> None:
        """The service cannot work, as this line says: the process is to stop."""


class Supervisor(Service):
    """Listens, starts the workers and stops them; the only service of ours that has children."""

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        children: Children,
        plan: Plan,
        ledger_folder: LedgerFolder,
        committer: Committer,
        events: SupervisorEvents,
        manifest: Manifest | None = None,
        wall: Callable[[], float] = time.time,
        *,
        kept: bool = False,
        board: SourceBoard | None = None,
        limits: LimitBoard | None = None,
    ) -> None:
        """``kept`` says that systemd may keep the sockets for the next start. ``board``: where sources are counted.

        ``limits``: where they are limited, if they are.
        """
        self._reactor = reactor
        self._children = children
        self._plan = plan
        self._manifest = manifest
        self._ledger_folder = ledger_folder
        self._committer = committer
        self._events = events
        self._listening = False
        self._orphan_check: IDelayedCall | None = None
        self._boot_failures = 0
        self._ever_ready = False
        self._announced = False
        self.draining = False
        self.restarts: dict[str, int] = dict.fromkeys(get_args(Outcome), 0)
        self._slots = Slots(reactor, children, plan, ledger_folder, self, board, limits)
        self._steering = Steering(plan.cpus if plan.settings.steer else ())
        self._stalls = StallWatch(self._slots.present, plan.listeners, steering=self._steering)
        self._handover = Handover(reactor, children, plan.inherited, self._slots, events.reloaded, self._steering)
        self._rounds = Rounds(reactor, self._slots, committer, self._every_second, wall, plan.commit_period)
        given_up = plan.inherited.given_up
        self._shutdown = Shutdown(reactor, self._slots, plan.listeners, given_up, committer, kept=kept)

    def privilegedStartService(self) -> None:
        """Listen, as long as we may."""
        self._listen()

    def startService(self) -> None:
        """Start the workers and the commits."""
        super().startService()
        # twist never calls privilegedStartService.
        self._listen()
        self._take_over()
        if self._manifest is not None:
            self.restarts.update(self._manifest.restarts)
            self._announced = self._ever_ready = True
            self._handover.begin(self._manifest.workers, self._ledger_folder, self._manifest.ending)
        elif unwanted := self._plan.inherited.abandon():
            self._log.warn("{unwanted} sockets were passed to us that no option asks for", unwanted=unwanted)
        self._retire_orphans()
        for slot in self._slots.present:
            if slot.state == "stopped":
                slot.start()
        self._rounds.start()
        self._committer.commit().addCallback(self._opened)

    def stopService(self) -> Deferred[None]:
        """Let the workers count and hand over what waits, and commit it; within the drain time."""
        super().stopService()
        self.draining = True
        self._rounds.stop()
        if self._orphan_check is not None:
            self._orphan_check.cancel()
            self._orphan_check = None
        self._handover.stop()
        return self._shutdown.begin(self._plan.settings.drain_timeout)

    def kill(self) -> None:
        """End all workers at once; their ledgers keep what they counted."""
        for slot in self._slots:
            slot.kill()

    def workers(self) -> list[WorkerFacts]:
        """Return what is known of each worker, by number."""
        return self._slots.facts(self._stalls.avoided)

    def handed_on(self) -> tuple[list[InheritedWorker], list[int]]:
        """Return the workers that the next image goes on with, and the processes that are only to be reaped."""
        return self._slots.handed_on()

    @property
    def underway(self) -> float | None:
        """Return for how many seconds a worker has been started without accepting; None if all accept."""
        return max((slot.starting() for slot in self._slots), default=0.0) or None

    @property
    def replacing(self) -> bool:
        """Return whether workers are being replaced by those of a newer code or configuration."""
        return self._handover.running

    @property
    def waits_for_workers(self) -> bool:
        """Return whether a worker has been asked and has not answered."""
        return self._rounds.are_open

    @property
    def has_starting(self) -> bool:
        """Return whether a worker has been started that does not accept yet, as far as is known."""
        return self._slots.have_starting

    def pause(self) -> None:
        """Ask the workers for nothing more, start none, and give up those that do not accept yet."""
        for slot in self._slots.present:
            slot.hold()
        self._rounds.stop()
        for slot in self._slots:
            slot.give_up()

    def resume(self) -> None:
        """Ask the workers again, and start those that are missing."""
        if self.draining:
            return
        for slot in self._slots.present:
            slot.release()
        self._rounds.start()

    def healthy(self) -> tuple[bool, str]:
        """Return whether the service works, and if not, why."""
        failing = [slot for slot in self._slots.present if slot.short_lives >= BOOT_TRIES]
        if failing and not self.draining:
            return False, f"worker {failing[0].number} keeps dying"
        return True, "ok"

    def accepting(self) -> tuple[bool, str]:
        """Return whether every listener has an accepting worker, and if not, why."""
        if self.draining:
            return False, "draining"
        able = [slot.number for slot in self._slots.present if self._is_able(slot)]
        unserved = [one.label for one in self._plan.listeners if not any(one.sockets[number] for number in able)]
        if unserved:
            return False, f"no worker accepts at {', '.join(unserved)}"
        return True, "ok"

    def fullest_journal(self) -> tuple[int, float]:
        """Return which worker's journal is the fullest with what is not committed, and which part of it, 0 to 1."""
        journals = [(one.ledger.fill(), slot.number) for slot in self._slots for one in slot.processes]
        fill, number = max(journals, default=(0.0, 0))
        return number, fill

    def committed(self, snapshot: Snapshot) -> None:
        """Send the workers the offsets up to which their journals are in the store."""
        for slot in self._slots:
            slot.committed(snapshot)

    def begin_anew(self, ledger_id: str) -> None:
        """Let the worker that writes this ledger send all names again: it was not understood."""
        for slot in self._slots:
            slot.begin_anew(ledger_id)

    # What slots tell.

    def ready(self, slot: WorkerSlot) -> None:
        """Note that a worker accepts; report when all do for the first time."""
        self._ever_ready = True
        self._boot_failures = 0
        if self._committer.snapshot is not None:
            slot.committed(self._committer.snapshot)
        if self._announced:
            self._log.info("worker {number} accepts (pid {pid})", number=slot.number, pid=slot.pid)
        elif all(one.state == "ready" for one in self._slots.present):
            self._announced = True
            self._events.all_accept()

    def gathered(self, ledger: Ledger, message: Gathered) -> None:
        """Keep what a worker sent; commit when all that are waited for have answered, or when one was not asked."""
        if message.interval or message.batches:
            payload = message.interval or _NOTHING
            self._committer.add(Piece(ledger.ledger_id, message.start, message.end, payload, batches=message.batches))
        self._events.repeated(ledger.worker, message.repeated)
        self._events.rejected(message.examples)
        answered = self._rounds.answered(ledger.ledger_id)
        # At the end all is committed at once, but for what is urgent.
        if message.urgent if self.draining else answered:
            self._committer.commit()

    def gone(self, slot: WorkerSlot, ledger: Ledger, outcome: Outcome, how: str) -> None:
        """Note that a worker is dead."""
        self._rounds.answered(ledger.ledger_id)
        if self.draining:
            self._shutdown.check()
            return
        self.restarts[outcome] += 1
        self._log.error("worker {number} {how}", number=slot.number, how=how)
        if outcome == "boot":
            self._count_boot_failure(f"one {how}; the lines above say why")
        if not self.draining:
            self._committer.commit()

    def left(self, slot: WorkerSlot, ledger: Ledger) -> None:
        """Note that a worker that had been replaced is gone."""
        self._rounds.answered(ledger.ledger_id)
        if self.draining:
            self._shutdown.check()
        else:
            self._committer.commit()

    def unable(self, slot: WorkerSlot, why: str) -> None:
        """Log that a worker cannot be started for now."""
        self._log.error("worker {number} cannot be started: {why}", number=slot.number, why=why)
        self._count_boot_failure(why)

    # Our own.

    def _is_able(self, slot: WorkerSlot) -> bool:
        # One that gives no sign of life has no new connections, and accepts none of those that wait for it.
        return slot.state == "ready" and slot.number not in self._stalls.avoided

    def _count_boot_failure(self, why: str) -> None:
        if not self._ever_ready and not self.draining:
            self._boot_failures += 1
            if self._boot_failures >= BOOT_TRIES:
                self._stop_for(f"workers cannot start: {why}")

    def _listen(self) -> None:
        if not self._listening:
            self._listening = True
            for listener in self._plan.listeners:
                listener.listen(self._plan.backlog)
            self._steering.begin(self._plan.listeners, inherited=self._manifest is not None)

    def _take_over(self) -> None:
        found = self._ledger_folder.find()
        if found and self._manifest is None:
            self._log.info("{found} ledgers of the last run are taken over", found=found)

    def _retire_orphans(self) -> None:
        self._orphan_check = None
        if self._ledger_folder.retire_orphans():
            self._orphan_check = self._reactor.callLater(ORPHAN_CHECK, self._retire_orphans)

    def _opened(self, _: None) -> None:
        # An image that has taken workers over goes on without the store, as when it fails later: they count.
        if self._committer.snapshot is None and self._manifest is None and not self.draining:
            self._stop_for(self._committer.failure)

    def _every_second(self) -> None:
        self._events.every_second()
        self._stalls.check()

    def _stop_for(self, why: str) -> None:
        self.draining = True
        for slot in self._slots:
            slot.stop()
        self._events.give_up(why)
