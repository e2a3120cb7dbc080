"""What a worker has aggregated is sent to its supervisor: when that asks, and unasked when it has become much."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec
from twisted.internet.interfaces import IDelayedCall

from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.interval import Interval, ListenerCounts
from statsd_tcp.aggregate.numbered import SaidNames
from statsd_tcp.aggregate.tally import Tally
from statsd_tcp.ingest.batches import BatchIntake
from statsd_tcp.ingest.intake import Intake
from statsd_tcp.repeat.repeater import Repeater
from statsd_tcp.workers.channel import Gathered

__all__ = ["Gathering"]

_NOTHING = ListenerCounts()


class Gathering:
    """Takes interval after interval out of the tally, with the part of the journal that each is made of.

    ``labels`` are those of the listeners by their indexes. ``version`` is that of `Gathered.interval` that the
    supervisor reads. ``read_datagrams`` polls the sockets of datagrams under load, and ``send`` takes the messages.
    """

    def __init__(
        self,
        reactor: Any,
        intake: Intake,
        tally: Tally,
        batches: BatchIntake,
        repeater: Repeater | None,
        *,
        labels: Sequence[str],
        version: int,
        read_datagrams: Callable[[], None],
        beat: Callable[[], None],
        send: Callable[[Gathered], None],
    ) -> None:
        self._reactor = reactor
        self._intake = intake
        self._tally = tally
        self._batches = batches
        self._repeater = repeater
        self._labels = labels
        self._version = version
        self._read_datagrams = read_datagrams
        self._beat = beat
        self._send = send
        self.session = 0
        """The token that the supervisor asks for, see `Collect`; 0: it does not."""
        self._said = SaidNames()
        self._early: IDelayedCall | None = None
        self._collected = intake.journal.head

    def soon(self) -> None:
        """Send what there is unasked, at the end of this turn of the reactor: a chunk is on its way into the tally."""
        if self._early is None:
            self._early = self._reactor.callLater(0, self.collect)

    def collect(self, *, last: bool = False, urgent: bool = False) -> None:
        """Send what was aggregated since the last time; ``last`` and ``urgent`` are as in `Gathered`.

        With many series this takes milliseconds, in which a small buffer of datagrams fills: they are read before, and
        again as soon as the interval is closed.
        """
        self._read_datagrams()
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
        self._read_datagrams()
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
            return encode(interval, self._version)
        self._said.begin(self.session)
        numbered = self._said.numbered(interval.counters)
        return encode(msgspec.structs.replace(interval, counters={}, numbered=numbered))


def _without_silence(interval: Interval) -> Interval:
    """Leave out the listeners that received nothing."""
    for label in [label for label, counts in interval.listeners.items() if counts == _NOTHING]:
        del interval.listeners[label]
    return interval
