"""What a worker keeps during an interval: the lines of all its listeners, and what was read of them.

Chunks without gauges wait a moment for others, so that many short connections are split at once. What becomes of the
lines of one listener is told in `aggregate.listener_lines`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from statsd_tcp.aggregate.accepted_lines import AcceptedLines
from statsd_tcp.aggregate.counter_sums import CounterSums
from statsd_tcp.aggregate.digest import Digest
from statsd_tcp.aggregate.examples import BAD_PROXY_HEADER, Examples
from statsd_tcp.aggregate.firsts import Firsts
from statsd_tcp.aggregate.interval import Interval, ListenerCounts
from statsd_tcp.aggregate.listener_lines import ListenerLines
from statsd_tcp.aggregate.sums import NewSums
from statsd_tcp.wire.grammar import Grammar, named
from statsd_tcp.wire.reasons import REASONS
from statsd_tcp.wire.samples import GAUGE_MARK, SPACE, SPACED_MARK

__all__ = ["Tally", "tally_for"]

# Small chunks wait until together they are worth a split: one call for hundreds of short connections.
_BATCH_BYTES: Final = 1 << 16


def _let_be() -> None:
    """Take it in its time."""


class Tally:
    """The lines of all listeners of a worker since the interval was last taken.

    Listeners are known by their index; several may have the same label. Not for several threads. ``examples`` has some
    of the lines that were rejected.
    """

    def __init__(
        self,
        listeners: Sequence[tuple[str, Grammar]],
        accepted: AcceptedLines | None = None,
        new_sums: NewSums | None = None,
        holds_much: Callable[[], object] = _let_be,
    ) -> None:
        """Serve listeners with these labels and grammars.

        The lines that are good are also given to ``accepted``: sums cannot do that, and are not used then.
        ``holds_much`` is called, and may be called again, when the interval should be taken soon.
        """
        sums = new_sums if accepted is None else None
        self._interval = Interval()
        self._counters = CounterSums()
        self.examples = Examples()
        self._firsts = Firsts()
        self._digests: dict[Grammar, Digest] = {}
        self._rejected = None if accepted is None else accepted.rejected
        self._listeners = [
            ListenerLines(
                label, self._digest_of(grammar), self.examples, self._firsts, accepted, sums and sums(), holds_much
            )
            for label, grammar in listeners
        ]

    def _digest_of(self, grammar: Grammar) -> Digest:
        new = Digest(grammar, self._interval, self._counters, self.examples, self._rejected)
        return self._digests.setdefault(grammar, new)

    def add(self, listener: int, chunk: bytes, tick: int) -> bool:
        """Count the lines in ``chunk``, each of which ends in a newline; return whether a gauge in it was new.

        ``tick`` is when they came, in nanoseconds of CLOCK_MONOTONIC. It must not go back from call to call.
        """
        if chunk.find(GAUGE_MARK) >= 0 or (chunk.find(SPACE) >= 0 and chunk.find(SPACED_MARK) >= 0):
            return self._listeners[listener].take_in_order(chunk, tick, self._split)
        self.add_plain(listener, [chunk], tick)
        return False

    def add_plain(self, listener: int, chunks: list[bytes], tick: int) -> None:
        """Do what ``add`` does for each of ``chunks``, none of which has a gauge."""
        of = self._listeners[listener]
        if not of.pending or tick > of.until:
            of.begin(tick)
        of.pending += chunks
        of.pending_bytes += sum(map(len, chunks))
        if of.pending_bytes > _BATCH_BYTES:
            of.split()

    def add_late(self, listener: int, chunks: list[bytes]) -> None:
        """Count lines, without gauges, that came before the chunk with a new gauge that was added last."""
        self._listeners[listener].take_late(b"".join(chunks))

    def _split(self) -> None:
        for of in self._listeners:
            if of.pending:
                of.split()

    def received(self, listener: int, nbytes: int) -> None:
        """Count bytes that were received, whether or not they made a line."""
        self._listeners[listener].counts.received_bytes += nbytes

    def datagrams(self, listener: int, count: int) -> None:
        """Count datagrams that were received."""
        self._listeners[listener].counts.datagrams += count

    def reject(self, listener: int, reason: str, count: int, beginning: bytes = b"") -> None:
        """Count lines that were dropped before they were complete, for one of ``reasons.REASONS``.

        ``beginning`` is that of one of them.
        """
        if reason not in REASONS:
            raise ValueError(reason)
        of = self._listeners[listener]
        of.counts.lines += count
        self.examples.listener = of.label
        self.examples.note(reason, beginning)
        bad_lines = self._interval.bad_lines
        bad_lines[reason] = bad_lines.get(reason, 0) + count

    def note_bad_header(self, listener: int, beginning: bytes) -> None:
        """Keep an example of what came in the place of a header. The connection is counted, and no line."""
        self.examples.listener = self._listeners[listener].label
        self.examples.note(BAD_PROXY_HEADER, beginning)

    def read(self) -> None:
        """Read all lines that wait, before the interval is taken."""
        for of in self._listeners:
            of.split()
            of.settle()
            of.flush()

    def take(self) -> Interval:
        """Return the interval since the last call, and begin another."""
        self.read()
        taken = self._interval
        for of in self._listeners:
            taken.listeners.setdefault(of.label, ListenerCounts()).add(of.counts)
            of.counts = ListenerCounts()
        taken.counters, taken.falls = self._counters.take()
        taken.met = self._firsts.take()
        self._interval = Interval()
        for digest in self._digests.values():
            digest.begin(self._interval)
        return taken


def tally_for(
    listeners: Sequence[tuple[str, str]],
    accepted: AcceptedLines | None = None,
    new_sums: NewSums | None = None,
    holds_much: Callable[[], object] = _let_be,
) -> Tally:
    """Make a tally for listeners given by label and the name of a grammar, known to it by their place.

    The lines that are good are also given to ``accepted``. ``new_sums`` makes what adds plain lines up, if anything;
    ``holds_much`` is called when the interval should be taken soon.
    """
    spoken = [(label, named(grammar)) for label, grammar in listeners]
    return Tally(spoken, accepted, new_sums, holds_much)
