"""The supervisor: keeps the sockets and the workers, and has what they gather committed once a second."""

from __future__ import annotations

import math
import socket
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol, get_args

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from statsd_tcp.children import Children
from statsd_tcp.commit.committer import Committer
from statsd_tcp.ledger.folder import Ledger, LedgerFolder
from statsd_tcp.repeat.queue import Repeated
from statsd_tcp.sockets.steering import Steering
from statsd_tcp.store.batch import Piece
from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.supervisor.handover import Handover
from statsd_tcp.supervisor.launcher import Launcher
from statsd_tcp.supervisor.manifest import InheritedWorker, Manifest
from statsd_tcp.supervisor.stalls import StallWatch
from statsd_tcp.supervisor.start_plan import Plan
from statsd_tcp.supervisor.worker_process import Outcome
from statsd_tcp.supervisor.worker_slot import State, WorkerSlot
from statsd_tcp.workers.channel import Gathered

__all__ = ["BOOT_TRIES", "Supervisor", "SupervisorEvents", "WorkerFacts"]

COMMIT_PERIOD = 1.0
"""Seconds between two commits."""

AFTER_SECOND = 0.01
"""So long after the beginning of a second of the clock the workers are asked, in seconds."""

BOOT_TRIES = 3
"""So many workers may fail to start, before any ever did, until the service gives up."""

ORPHAN_CHECK = 0.1
"""Seconds between two looks whether the workers of an earlier run have ended."""


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

    def give_up(self, why: str) -> None:
        """The service cannot work, as this line says: the process is to stop."""


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
    ) -> None:
        self._reactor = reactor
        self._children = children
        self._plan = plan
        self._manifest = manifest
        self._ledger_folder = ledger_folder
        self._committer = committer
        self._events = events
        self._listening = False
        self._asked: set[str] = set()
        self._awaited: set[str] = set()
        self._collecting = LoopingCall(self._collect)
        self._collecting.clock = reactor
        self._orphan_check: IDelayedCall | None = None
        self._stopped: Deferred[None] | None = None
        self._deadline: IDelayedCall | None = None
        self._boot_failures = 0
        self._ever_ready = False
        self._announced = False
        self.draining = False
        self.restarts: dict[str, int] = dict.fromkeys(get_args(Outcome), 0)
        self._slots = [self._make_slot(number) for number in range(plan.workers)]
        self._steering = Steering(plan.cpus if plan.settings.steer else ())
        self._stalls = StallWatch(self._slots, plan.listeners, steering=self._steering)
        self._handover = Handover(
            reactor, children, plan.inherited, self._make_departing, events.reloaded, steering=self._steering
        )

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
            self._handover.begin(self._manifest.workers, self._slots, self._ledger_folder, self._manifest.ending)
        elif unwanted := self._plan.inherited.abandon():
            self._log.warn("{unwanted} sockets were passed to us that no option asks for", unwanted=unwanted)
        self._retire_orphans()
        for slot in self._slots:
            if slot.state == "stopped":
                slot.start()
        self._start_collecting()
        self._committer.commit().addCallback(self._opened)

    def stopService(self) -> Deferred[None]:
        """Have the workers count and hand over what waits, and commit it; within the drain time."""
        super().stopService()
        self.draining = True
        if self._collecting.running:
            self._collecting.stop()
        if self._orphan_check is not None:
            self._orphan_check.cancel()
            self._orphan_check = None
        stopped: Deferred[None] = Deferred()
        self._stopped = stopped
        self._deadline = self._reactor.callLater(self._plan.settings.drain_timeout, self._out_of_time)
        self._handover.stop()
        for slot in self._all_slots:
            slot.stop()
        self._check_stopped()
        return stopped

    def kill(self) -> None:
        """End all workers at once; their ledgers keep what they counted."""
        for slot in self._all_slots:
            slot.kill()

    def workers(self) -> list[WorkerFacts]:
        """Return what is known of each worker, by number."""
        return [self._facts(slot) for slot in self._slots]

    def handed_on(self) -> tuple[list[InheritedWorker], list[int]]:
        """Return the workers that the next image goes on with, and the processes that are only to be reaped.

        A worker that is only starting ends with its channel, and is reaped as those that have said their last word.
        """
        workers = [worker for slot in self._all_slots for worker in slot.handed_on()]
        pids = {worker.pid for worker in workers}
        processes = [one for slot in self._all_slots for one in slot.processes]
        living = [one.child.pid for one in processes if one.child.ending is None]
        return workers, [pid for pid in living if pid not in pids]

    @property
    def replacing(self) -> bool:
        """Tell whether workers are being replaced by those of a newer code or configuration."""
        return self._handover.running

    @property
    def waits_for_workers(self) -> bool:
        """Tell whether a worker has been asked and hasn't answered."""
        return bool(self._asked)

    @property
    def has_starting(self) -> bool:
        """Return whether a worker has been started that does not accept yet, as far as is known."""
        return any(one.ready_at is None for slot in self._all_slots for one in slot.processes)

    def pause(self) -> None:
        """Ask the workers for nothing more, start none, and give up those that do not accept yet."""
        for slot in self._slots:
            slot.hold()
        if self._collecting.running:
            self._collecting.stop()
        for slot in self._all_slots:
            slot.give_up()

    def resume(self) -> None:
        """Ask the workers again, and start those that are missing."""
        if self.draining:
            return
        for slot in self._slots:
            slot.release()
        if not self._collecting.running:
            self._start_collecting()

    def healthy(self) -> tuple[bool, str]:
        """Tell whether the service works, and if not, why."""
        failing = [slot for slot in self._slots if slot.short_lives >= BOOT_TRIES]
        if failing and not self.draining:
            return False, f"worker {failing[0].number} keeps dying"
        return True, "ok"

    def accepting(self) -> tuple[bool, str]:
        """Tell whether every listener has an accepting worker, and if not, why."""
        if self.draining:
            return False, "draining"
        able = [slot.number for slot in self._slots if self._is_able(slot)]
        unserved = [one.label for one in self._plan.listeners if not any(one.sockets[number] for number in able)]
        if unserved:
            return False, f"no worker accepts at {', '.join(unserved)}"
        return True, "ok"

    def committed(self, snapshot: Snapshot) -> None:
        """Tell the workers up to where their journals are in the store."""
        for slot in self._all_slots:
            slot.committed(snapshot.ledgers)

    # What slots tell.

    def ready(self, slot: WorkerSlot) -> None:
        """Note that a worker accepts; when it is the first time that all do, say so."""
        self._ever_ready = True
        self._boot_failures = 0
        if self._announced:
            self._log.info("worker {number} accepts (pid {pid})", number=slot.number, pid=slot.pid)
        elif all(one.state == "ready" for one in self._slots):
            self._announced = True
            self._events.all_accept()

    def gathered(self, ledger: Ledger, message: Gathered) -> None:
        """Keep what a worker sent; commit when all that are waited for have answered, or when one wasn't asked."""
        if message.interval:
            self._committer.add(Piece(ledger.ledger_id, message.start, message.end, message.interval))
        self._events.repeated(ledger.worker, message.repeated)
        unasked = ledger.ledger_id not in self._asked
        self._answered(ledger)
        if (unasked or not self._awaited) and not self.draining:
            self._committer.commit()

    def gone(self, slot: WorkerSlot, ledger: Ledger, outcome: Outcome, how: str) -> None:
        """Note that a worker is dead."""
        self._answered(ledger)
        if self.draining:
            self._check_stopped()
            return
        self.restarts[outcome] += 1
        self._log.error("worker {number} {how}", number=slot.number, how=how)
        if outcome == "boot":
            self._count_boot_failure(f"one {how}; the lines above say why")
        if not self.draining:
            self._committer.commit()

    def left(self, slot: WorkerSlot, ledger: Ledger) -> None:
        """Note that a worker that had been replaced is gone."""
        self._answered(ledger)
        if self.draining:
            self._check_stopped()
        else:
            self._committer.commit()

    def unable(self, slot: WorkerSlot, why: str) -> None:
        """Say that a worker can't be started for now."""
        self._log.error("worker {number} can't be started: {why}", number=slot.number, why=why)
        self._count_boot_failure(why)

    # Our own.

    @property
    def _all_slots(self) -> list[WorkerSlot]:
        """All slots, also those that are being given up."""
        return [*self._slots, *self._handover.departing]

    def _facts(self, slot: WorkerSlot) -> WorkerFacts:
        ledger = slot.current.ledger if slot.current is not None else None
        avoided = slot.number in self._stalls.avoided
        return WorkerFacts(slot.number, slot.state, slot.pid, avoided, len(slot.leaving), ledger)

    def _is_able(self, slot: WorkerSlot) -> bool:
        # One that gives no sign of life has no new connections, and accepts none of those that wait for it.
        return slot.state == "ready" and slot.number not in self._stalls.avoided

    def _count_boot_failure(self, why: str) -> None:
        if not self._ever_ready and not self.draining:
            self._boot_failures += 1
            if self._boot_failures >= BOOT_TRIES:
                self._stop_for(f"workers can't start: {why}")

    def _make_slot(self, number: int) -> WorkerSlot:
        return self._slot_with(number, self._plan.sockets(number), self._plan.directory())

    def _make_departing(self, number: int) -> WorkerSlot:
        slot = self._slot_with(number, [], [])
        # It has no sockets for a worker more: one that dies there has left a little early.
        slot.hold()
        return slot

    def _slot_with(self, number: int, sockets: list[socket.socket], listeners: list[tuple[str, str]]) -> WorkerSlot:
        boot = partial(self._plan.boot, number)
        launcher = Launcher(self._reactor, self._children, number, sockets, listeners, boot, self._ledger_folder)
        return WorkerSlot(self._reactor, launcher, self)

    def _start_collecting(self) -> None:
        self._collecting.start(COMMIT_PERIOD, now=False)
        # From the second time on it comes with the clock's seconds, right behind the ends of flushes.
        self._collecting.starttime = math.floor(self._reactor.seconds()) + AFTER_SECOND

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
        if self._committer.snapshot is None and not self.draining:
            self._stop_for(self._committer.failure)

    def _collect(self) -> None:
        """Ask every worker; whoever didn't answer the last time isn't waited for."""
        try:
            self._events.every_second()
            self._stalls.check()
            self._ask()
        except Exception:  # noqa: BLE001  (a LoopingCall that raises stops for ever, and with it all commits)
            self._log.failure("a round of collecting failed")

    def _ask(self) -> None:
        if self._committer.failure:
            # What was gathered already waits for a commit that works: the rest is safer in the journals.
            self._committer.commit()
            return
        self._awaited = {ledger_id for slot in self._all_slots for ledger_id in slot.collect(self._asked)}
        self._asked |= self._awaited
        if not self._awaited:
            self._committer.commit()

    def _answered(self, ledger: Ledger) -> None:
        self._asked.discard(ledger.ledger_id)
        self._awaited.discard(ledger.ledger_id)

    def _stop_for(self, why: str) -> None:
        self.draining = True
        for slot in self._all_slots:
            slot.stop()
        self._events.give_up(why)

    def _out_of_time(self) -> None:
        self._deadline = None
        late = [slot for slot in self._all_slots if slot.processes]
        self._log.error("{late} workers did not finish in time and are killed", late=len(late))
        for slot in late:
            slot.kill()

    def _check_stopped(self) -> None:
        if self._stopped is None or any(slot.processes for slot in self._all_slots):
            return
        stopped, self._stopped = self._stopped, None
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        for listener in self._plan.listeners:
            listener.close()
        finished = maybeDeferred(self._committer.finish)
        finished.addCallback(lambda _: self._committer.close())
        finished.addCallback(self._log_end)
        finished.addErrback(self._log_last)
        finished.chainDeferred(stopped)

    def _log_end(self, _: None) -> None:
        if not self._committer.failure:
            self._log.info("stopped; all that was counted is in the store")

    def _log_last(self, failure: Failure) -> None:
        self._log.failure("the last commit failed", failure=failure)
