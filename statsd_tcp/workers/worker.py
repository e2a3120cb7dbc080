"""A worker: the lanes, the journal and the tally of one process, and what it does when the supervisor asks."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from typing import Any

import msgspec
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from statsd_tcp.aggregate.accepted_lines import AcceptedLines
from statsd_tcp.aggregate.batches import BatchTally
from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.interval import Interval, ListenerCounts
from statsd_tcp.aggregate.numbered import SaidNames
from statsd_tcp.aggregate.sums import Sums, new_sums
from statsd_tcp.aggregate.tally import Tally, tally_for
from statsd_tcp.ingest.batches import BatchIntake
from statsd_tcp.ingest.eviction import Eviction
from statsd_tcp.ingest.intake import Intake
from statsd_tcp.ingest.lane import CountLane
from statsd_tcp.ingest.lane_kinds import lane_kinds
from statsd_tcp.ingest.limits import WorkerLimits
from statsd_tcp.ingest.moderation import Moderator, Timer
from statsd_tcp.ingest.occupancy import Occupancy
from statsd_tcp.ingest.pace import KeptPace, Pace
from statsd_tcp.ingest.protocol import LineProtocol
from statsd_tcp.ingest.sources import WorkerSources
from statsd_tcp.ledger.cells import GAP_MAX, HEARTBEAT, cells_in
from statsd_tcp.ledger.file import LedgerMap
from statsd_tcp.ledger.journal import Journal
from statsd_tcp.repeat.repeater import make_repeater
from statsd_tcp.wire.grammar import named
from statsd_tcp.workers.channel import Boot, Gathered, Ready
from statsd_tcp.workers.draining import LONGEST_DRAIN, Draining
from statsd_tcp.workers.lanes import LaneMaker

__all__ = ["Worker"]

HEARTBEAT_PERIOD = 1.0
"""Seconds between two signs of life of a worker that is not asked for anything."""

RETIRED_CHECK = 0.25
"""Seconds between two checks whether the last client of a retired worker has gone."""

LONGEST_CONFIRMATION = 2.0
"""Seconds for which a worker that drains waits for the commit of batches, and for the ends of their clients. Who is not
told by then sends them again."""

_NOTHING = ListenerCounts()


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
        self._cells = ledger.cells
        self._send = send
        self._ticks = ticks
        self._longest_gap = longest_gap
        self._grammars = [named(grammar) for _, grammar in ledger.directory.listeners]
        self._repeater = make_repeater(reactor, boot.repeat)
        self._tally = self._make_tally(ledger.directory.listeners, in_c=in_c)
        self.session = 0
        """The token that the supervisor asks for, see `Collect`; 0: it does not."""
        self._said = SaidNames()
        self._early: IDelayedCall | None = None
        self._labels = [label for label, _ in ledger.directory.listeners]
        self._intake = self._make_intake(Journal(ledger.ring, ledger.cells), sources)
        self._sources = sources
        self._collected = self._intake.journal.head
        batches = BatchTally(self._make_tally(ledger.directory.listeners, in_c=in_c))
        self._batches = BatchIntake(self._intake, batches, self._labels, self._on_much)
        self._moderator = Moderator(timer or reactor, self._intake, failed)
        pace = Pace()
        self._datagram_moderator = Moderator(timer or reactor, self._intake, failed, pace.delay)
        self._occupancy = Occupancy(boot.connections)
        kinds = lane_kinds(in_c=in_c)
        kept_pace = KeptPace(self._intake.journal)
        kept_moderator = Moderator(timer or reactor, self._intake, failed, kept_pace.delay)
        self._moderators = (self._moderator, self._datagram_moderator, kept_moderator)
        self._kept_lane = kinds.kept(reactor, kept_moderator, failed, self._intake)
        maker = LaneMaker(
            reactor=reactor,
            boot=boot,
            cells=ledger.cells,
            indexes=cells_in(ledger.directory),
            grammars=self._grammars,
            kinds=kinds,
            intake=self._intake,
            batches=self._batches,
            moderator=self._moderator,
            datagram_moderator=self._datagram_moderator,
            kept_moderator=kept_moderator,
            pace=pace,
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
        self._draining = Draining(reactor, ticks, self._intake, self._moderator, self._factories.values())
        self._closing: IDelayedCall | None = None
        self._beating: IDelayedCall | None = None

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
        self._go_on_beating()
        for lane in self._lanes:
            lane.start()
        self._send(Ready())

    def collect(self, *, last: bool = False, urgent: bool = False) -> None:
        """Send what was aggregated since the last time; ``last`` and ``urgent`` are as in `Gathered`.

        With many series this takes milliseconds, in which a small buffer of datagrams fills: they are read before, and
        again as soon as the interval is closed.
        """
        self._datagram_moderator.poll_at_once()
        self._intake.settle()
        self._beat()
        interval = _without_silence(self._tally.take())
        self._blame()
        if self._early is not None and self._early.active():
            self._early.cancel()
        self._early = None
        if last and self._repeater is not None:
            self._repeater.flush()
        start, self._collected = self._collected, self._intake.journal.head
        repeated = self._repeater.report() if self._repeater else ()
        examples = self._tally.examples.take() + self._batches.examples.take()
        brought = self._batches.gathered()
        self._datagram_moderator.poll_at_once()
        payload = b"" if interval.is_empty() else self._encoded(interval)
        self._send(Gathered(start, self._collected, payload, last, repeated, examples, brought, urgent))

    def _blame(self) -> None:
        """Find out who sent the bad lines, as long as the journal has them all."""
        bad = self._tally.examples.take_bad()
        self._intake.blame(
            {index: bad[label] for index, label in enumerate(self._labels) if label in bad} if bad else {}
        )

    def _encoded(self, interval: Interval) -> bytes:
        if not self.session:
            return encode(interval, self._boot.interval)
        self._said.begin(self.session)
        numbered = self._said.numbered(interval.counters)
        return encode(msgspec.structs.replace(interval, counters={}, numbered=numbered))

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
        self._stop_beating()
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
        for moderator in self._moderators:
            moderator.stop()
        self._kept_lane.start()
        self._intake.settle()
        longest = LONGEST_CONFIRMATION if heard and self._batches.are_under_way else 0.0
        if longest:
            self.collect(urgent=True)
        return longest

    def retire(self, done: Callable[[], None]) -> None:
        """Leave the sockets to a successor, serve what is open to its end, and call ``done`` then.

        The queues are read once more: those of a listener that is given up have no successor.
        """
        self._eviction.stop()
        self._intake.tick = self._ticks()
        for lane in self._lanes:
            lane.stop()
            lane.poll()
            lane.let_go()
        self._lanes = []
        for factory in self._factories.values():
            factory.retire()
        self._intake.settle()
        for moderator in self._moderators:
            moderator.rest()
        self._wait_gone(done)

    def _kept(self) -> Iterator[LineProtocol]:
        return chain.from_iterable(factory.kept for factory in self._factories.values())

    def _wait_gone(self, done: Callable[[], None]) -> None:
        if self._occupancy.open:
            self._closing = self._reactor.callLater(RETIRED_CHECK, self._wait_gone, done)
        else:
            self._closing = None
            self._stop_beating()
            done()

    def _go_on_beating(self) -> None:
        """Send a sign of life by the worker's own clock: the supervisor does not ask while commits fail."""
        self._beat()
        self._beating = self._reactor.callLater(HEARTBEAT_PERIOD, self._go_on_beating)

    def _stop_beating(self) -> None:
        if self._beating is not None:
            self._beating.cancel()
            self._beating = None

    def _beat(self) -> None:
        self._cells[HEARTBEAT] = now = self._ticks()
        if self._sources is not None:
            self._sources.turn(now)
        self._cells[GAP_MAX] = self._longest_gap()

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
        """Send what there is unasked, at the end of this turn of the reactor: a chunk is on its way into the tally."""
        if self._early is None:
            self._early = self._reactor.callLater(0, self.collect)

    def _on_room(self) -> None:
        """Resume reading. The first may fill the journal: new connections and those that stay take turns."""
        if self._intake.turn % 2:
            self._resume_kept()
            self._resume_lanes()
        else:
            self._resume_lanes()
            self._moderator.poll_at_once()
            self._datagram_moderator.poll_at_once()
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


def _without_silence(interval: Interval) -> Interval:
    """Leave out the listeners that received nothing."""
    for label in [label for label, counts in interval.listeners.items() if counts == _NOTHING]:
        del interval.listeners[label]
    return interval
