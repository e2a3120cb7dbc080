"""A worker: the lanes, the journal and the tally of one process, and what it does when the supervisor asks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from statsd_tcp.aggregate.accepted_lines import AcceptedLines
from statsd_tcp.aggregate.batches import BatchTally
from statsd_tcp.aggregate.sums import Sums, new_sums
from statsd_tcp.aggregate.tally import Tally, tally_for
from statsd_tcp.clock import NANOSECONDS
from statsd_tcp.ingest.batches import BatchIntake
from statsd_tcp.ingest.datagrams import DatagramLane
from statsd_tcp.ingest.eviction import Eviction
from statsd_tcp.ingest.intake import Intake
from statsd_tcp.ingest.lane import AcceptLane, CountLane
from statsd_tcp.ingest.lane_kinds import lane_kinds
from statsd_tcp.ingest.limits import WorkerLimits
from statsd_tcp.ingest.moderation import Timer
from statsd_tcp.ingest.occupancy import Occupancy
from statsd_tcp.ingest.protocol import LineProtocol
from statsd_tcp.ingest.sources import WorkerSources
from statsd_tcp.ledger.cells import cells_in
from statsd_tcp.ledger.file import LedgerMap
from statsd_tcp.ledger.journal import Journal
from statsd_tcp.repeat.repeater import make_repeater
from statsd_tcp.wire.grammar import named
from statsd_tcp.workers.channel import Boot, Gathered, Ready
from statsd_tcp.workers.draining import LONGEST_DRAIN, Draining
from statsd_tcp.workers.gathering import Gathering
from statsd_tcp.workers.heartbeat import Heartbeat
from statsd_tcp.workers.lanes import LaneMaker
from statsd_tcp.workers.moderators import Moderators

__all__ = ["Worker"]

RETIRED_CHECK = 0.25
"""Seconds between two checks whether the last client of a retired worker has gone."""

LONGEST_LAST_READ = 0.5
"""Seconds for which a worker that is retired reads the queues: under full load no queue is ever found empty."""

LONGEST_CONFIRMATION = 2.0
"""Seconds for which a worker that drains waits for the commit of batches, and for the ends of their clients. Who is not
told by then sends them again."""


def _no_gap() -> int:
    return 0


class Worker:
    """Serves the sockets it was given until it is told to drain, or finds its supervisor gone.

    ``send`` takes messages for the supervisor. ``failed`` is called when serving cannot go on.
    """

    def __init__(
        self,
        reactor: Any,
        boot: Boot,
        ledger: LedgerMap,
        send: Callable[[Ready | Gathered], None],
        failed: Callable[[Failure], None],
        *,
        in_c: bool = False,
        sources: WorkerSources | None = None,
        limits: WorkerLimits | None = None,
        ticks: Callable[[], int] = time.monotonic_ns,
        longest_gap: Callable[[], int] = _no_gap,
        timer: Timer | None = None,
    ) -> None:
        """Start with nothing received.

        ``in_c``: the parts in C are to serve, which must have been built. ``sources``: where it is told who connects,
        if it is. ``limits``: what one source may do, if that is limited. ``ticks`` is the clock of heartbeats, the
        nanoseconds of CLOCK_MONOTONIC; ``longest_gap`` gives the longest time between two turns of the reactor.
        ``timer`` calls the polls of the sockets, None: the reactor does.
        """
        self._reactor = reactor
        self._boot = boot
        self._send = send
        self._ticks = ticks
        self._heartbeat = Heartbeat(reactor, ledger.cells, ticks, longest_gap, sources)
        self._grammars = [named(grammar) for _, grammar in ledger.directory.listeners]
        self._repeater = make_repeater(reactor, boot.repeat)
        self._tally = self._make_tally(ledger.directory.listeners, in_c=in_c)
        labels = [label for label, _ in ledger.directory.listeners]
        self._intake = self._make_intake(Journal(ledger.ring, ledger.cells), sources)
        batches = BatchTally(self._make_tally(ledger.directory.listeners, in_c=in_c))
        self._batches = BatchIntake(self._intake, batches, labels, self._on_much)
        self._moderators = Moderators(timer or reactor, self._intake, failed)
        self._gathering = Gathering(
            *(reactor, self._intake, self._tally, self._batches, self._repeater),
            labels=labels,
            version=boot.interval,
            read_datagrams=self._moderators.datagrams.poll_at_once,
            beat=self._heartbeat.beat,
            send=send,
        )
        self._occupancy = Occupancy(boot.connections)
        kinds = lane_kinds(in_c=in_c)
        self._kept_lane = kinds.kept(reactor, self._moderators.kept, failed, self._intake)
        maker = LaneMaker(
            reactor=reactor,
            boot=boot,
            cells=ledger.cells,
            indexes=cells_in(ledger.directory),
            grammars=self._grammars,
            kinds=kinds,
            intake=self._intake,
            batches=self._batches,
            moderators=self._moderators,
            occupancy=self._occupancy,
            kept_lane=self._kept_lane,
            sources=sources,
            limits=limits,
            failed=failed,
        )
        self._factories = maker.factories
        self._eviction = Eviction(reactor, self._intake, self._occupancy, self._kept)
        self._occupancy.make_room = self._eviction.make_room
        self._lanes = [maker.make(spec) for spec in boot.lanes]
        self._draining = Draining(reactor, ticks, self._intake, self._moderators.coming, self._factories.values())
        self._closing: IDelayedCall | None = None

    def _make_intake(self, journal: Journal, sources: WorkerSources | None) -> Intake:
        return Intake(
            journal,
            self._tally,
            len(self._grammars),
            scarce=self._on_scarce,
            ample=self._on_ample,
            full=self._on_full,
            resumed=self._on_room,
            longest_line=max((grammar.max_line for grammar in self._grammars), default=0),
            sources=sources,
            takes_batches=any(spec.stores for spec in self._boot.lanes),
        )

    def start(self) -> None:
        """Start accepting, and report it to the supervisor."""
        self._heartbeat.start()
        for lane in self._lanes:
            lane.start()
        self._send(Ready())

    @property
    def session(self) -> int:
        """Return the token that the supervisor asks for, see `Collect`; 0: it does not."""
        return self._gathering.session

    @session.setter
    def session(self, session: int) -> None:
        self._gathering.session = session

    def collect(self, *, last: bool = False) -> None:
        """Send what was aggregated since the last time; ``last`` is as in `Gathered`."""
        self._gathering.collect(last=last)

    def close(self, done: Callable[[], None]) -> None:
        """Let go of what is open towards other servers, and call ``done``. To be called after `drain`."""
        if self._repeater is None:
            done()
            return
        # Unless it was collected. What is in the tally is in the journal too; these lines are only sent on.
        self._tally.take()
        self._repeater.close().addBoth(lambda _: done())

    def committed(self, offset: int, *, whole: bool = True) -> None:
        """Use the journal's space before that offset again; ``whole``: no frame before it was left out."""
        self._intake.release(offset)
        self._batches.committed(offset, whole=whole)

    def know(self, node: str) -> None:
        """Be of the node whose store has that UUID; "" is not known yet."""
        self._batches.be(node)

    def drain(self, done: Callable[[], None], *, heard: bool = True, seconds: float = 2 * LONGEST_DRAIN) -> None:
        """Read and count all that waits, close every connection, and call ``done`` when all are closed.

        ``heard``: there is a supervisor, which commits what it is sent. ``seconds``: how long all of it may take. The
        limit of open connections no longer applies. `Draining` says what comes when.
        """
        self._heartbeat.stop()
        if self._closing is not None:
            self._closing.cancel()
            self._closing = None
        self._eviction.stop()
        self._occupancy.limit = self._occupancy.open + (1 << 30)
        self._draining.begin(self._lanes, lambda: self._all_read(heard=heard), done, seconds / 2)

    def _all_read(self, *, heard: bool) -> float:
        """Settle what was read, so that the supervisor's last answer has all of it.

        Return for how many seconds clients have to wait for the confirmation of batches.
        """
        self._moderators.stop()
        self._kept_lane.start()
        self._intake.settle()
        longest = LONGEST_CONFIRMATION if heard and self._batches.are_under_way else 0.0
        if longest:
            self._gathering.collect(urgent=True)
        return longest

    def retire(self, done: Callable[[], None]) -> None:
        """Leave the sockets to a successor, serve what is open to its end, and call ``done`` then.

        The queues are read to their end: those of a listener that is given up have no successor.
        """
        self._eviction.stop()
        for lane in self._lanes:
            lane.stop()
        now = self._ticks()
        # Once: the successor reads the same sockets, and datagrams of one client are to keep their order.
        self._draining.read([lane for lane in self._lanes if isinstance(lane, DatagramLane)], now)
        streams = [lane for lane in self._lanes if isinstance(lane, AcceptLane)]
        self._draining.read(streams, now + int(LONGEST_LAST_READ * NANOSECONDS))
        for lane in self._lanes:
            lane.let_go()
        self._lanes = []
        for factory in self._factories.values():
            factory.retire()
        self._intake.settle()
        self._moderators.rest()
        self._wait_gone(done)

    def _kept(self) -> Iterator[LineProtocol]:
        return chain.from_iterable(factory.kept for factory in self._factories.values())

    def _wait_gone(self, done: Callable[[], None]) -> None:
        if self._occupancy.open:
            self._closing = self._reactor.callLater(RETIRED_CHECK, self._wait_gone, done)
        else:
            self._closing = None
            self._heartbeat.stop()
            done()

    def _on_scarce(self) -> None:
        for factory in self._factories.values():
            factory.hold()
        self._on_much()

    def _on_ample(self) -> None:
        for factory in self._factories.values():
            factory.release()

    def _on_full(self) -> None:
        # Ports that only count write no journal: they go on.
        for lane in self._lanes:
            if not isinstance(lane, CountLane):
                lane.pause("journal")
        for factory in self._factories.values():
            factory.pause()
        self._on_much()

    def _on_much(self) -> None:
        self._gathering.soon()

    def _on_room(self) -> None:
        """Resume reading. The first may fill the journal: new connections and those that stay take turns."""
        if self._intake.turn % 2:
            self._resume_kept()
            self._resume_lanes()
        else:
            self._resume_lanes()
            self._moderators.coming.poll_at_once()
            self._moderators.datagrams.poll_at_once()
            if not self._intake.is_full:
                self._resume_kept()

    def _resume_lanes(self) -> None:
        for lane in self._lanes:
            if not isinstance(lane, CountLane):
                lane.resume("journal")

    def _resume_kept(self) -> None:
        for factory in self._factories.values():
            factory.resume()

    def _make_tally(self, listeners: Sequence[tuple[str, str]], *, in_c: bool) -> Tally:
        accepted = AcceptedLines(self._repeater.send) if self._repeater else None
        return tally_for(listeners, accepted, _seeded_sums if in_c else None, self._on_much)


def _seeded_sums() -> Sums:
    return new_sums(int.from_bytes(os.urandom(8), "little"))
