"""Who is connecting, as the service tells it: what workers count is folded and merged, a piece at a time.

    every second ──> fold what is over ──> merge, if there are viewers or it is time ──> the view that all pages read

In memory only: it begins again with each start and each reload.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_network
from typing import TYPE_CHECKING, Any, Final

import msgspec
from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from statsd_tcp.clock import NANOSECONDS
from statsd_tcp.ingest.trust import Trust
from statsd_tcp.kernel.peers import is_local
from statsd_tcp.settings.who import Names
from statsd_tcp.status.who_table import PerSecond, SourceRow
from statsd_tcp.status.who_table import Spread as ToldSpread
from statsd_tcp.who.layout import MAPPED, UNIX
from statsd_tcp.who.memory import SourceBoard

if TYPE_CHECKING:
    # At run time it is imported late, with numpy, when the store has imported that.
    from statsd_tcp.who.merged import Entry, Merged, Spread
    from statsd_tcp.who.totals import Totals

__all__ = ["KEPT", "Listener", "Who"]

REST: Final = 10.0
"""Seconds from one view to the next without viewers: for the scalars, and for the chart of the last ten minutes."""

LOOKING_REST: Final = 2.0
"""The same while there are viewers: what they see are means of a minute."""

LOOKED: Final = 5.0
"""Seconds for which a viewer that has looked is taken to look on."""

_EARLY = 0.5

COST: Final = 20
"""A view is followed by a rest of this many times what it took, so that it takes 5 % of a processor at most."""

KEPT: Final = 600.0
"""Seconds of which the rates of the largest sources are kept."""

CHARTED: Final = 10
"""Sources in a chart."""

ALONE: Final = 0.99
"""The share of a listener's connections from which on its largest source counts as the only one."""

_LOOPBACK_6: Final = IPv6Address("::1")
_MACHINE: Final = {4: 32, 6: 64}
"""How many bits of an address of either version stand for one machine."""

MANY: Final = 100.0
"""Connections per second below which one source is nothing to point at."""


class Listener(msgspec.Struct, frozen=True):
    """A listener as far as sources go: its label, and whether a balancer's header before it could say who is behind."""

    label: str
    may_have_header: bool


class Who:
    """What is known of sources. ``board`` None: they are not counted."""

    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        board: SourceBoard | None,
        listeners: Sequence[Listener],
        names: Names | None,
        to: Sequence[str],
        ticks: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        """``to`` are networks whose clients may see sources. ``ticks`` is the workers' clock, in nanoseconds."""
        self._reactor = reactor
        self._board = board
        self._listeners = listeners
        self._names = names
        self._to = Trust(to)
        self._ticks = ticks
        self._began = ticks()
        self._totals: Totals | None = None
        self._view: Merged | None = None
        self._rests_until = 0.0
        self._looked_at = float("-inf")
        self._work: Iterator[None] | None = None
        self._spent = 0.0
        self._waiting: list[Deferred[None]] = []
        self._charted: deque[bytes] = deque()
        self._charted_at: deque[float] = deque()
        self.longest = 0.0
        """Seconds that the longest piece of work took."""
        self.heard: list[Callable[[bytes], None]] = []
        """Called with the rates of the largest sources, as JSON, when there are new ones."""

    @property
    def counts(self) -> bool:
        """Return whether sources are counted."""
        return self._board is not None

    @property
    def seconds(self) -> float:
        """Return for how long they have been counted."""
        return (self._ticks() - self._began) / NANOSECONDS

    def may_see(self, address: Any) -> bool:
        """Return whether a client with that address, as Twisted gives it, is shown sources."""
        return is_local(address) or self._to.covers(address.host)

    def look(self) -> None:
        """Note that there is a viewer: there will be views more often for a while."""
        self._looked_at = self._reactor.seconds()

    def check(self) -> None:
        """Begin what is due. To be called once a second, when the store is open."""
        if self._board is not None and self._work is None:
            self._begin(self._is_due())

    def fresh(self) -> Deferred[None]:
        """Return what fires when there is a view that is new enough to be shown."""
        now = self._reactor.seconds()
        looked_before = now - self._looked_at < LOOKED
        self.look()
        if self._board is None or (self._view is not None and (looked_before or now < self._rests_until)):
            return succeed(None)
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        if self._work is None:
            self._begin(is_viewed=True)
        return waiting

    # What pages show.

    @property
    def labels(self) -> list[str]:
        """Return those of all listeners."""
        return [one.label for one in self._listeners]

    def rows(self, number: int, by: str = "connections", listener: str | None = None) -> list[SourceRow]:
        """Return the sources with the most; by one of `summary.COLUMNS`, of all listeners or of the one so labelled."""
        labels = self.labels
        if self._view is None or (listener is not None and listener not in labels):
            return []
        index = None if listener is None else labels.index(listener)
        return [self._row(entry) for entry in self._view.top(number, by, index) if entry.listener < len(labels)]

    def spreads(self) -> list[ToldSpread]:
        """Return how the connections of each listener spread, also of those that have none."""
        found = self._spreads()
        rows = []
        for index, listener in enumerate(self._listeners):
            spread = found.get(index)
            rows.append(ToldSpread(listener.label, spread.sources if spread else 0, spread.share if spread else 0.0))
        return rows if self.counts else []

    def findings(self) -> list[dict[str, Any]]:
        """Return what an operator has to look at: a listener all of whose clients seem to be one."""
        return [
            {
                "id": "one-source",
                "text": f"all connections to {self._listeners[index].label} come from one source: is a balancer in "
                "front?",
                "setting": "proxy=",
                "command": "proxy=v2 at the listener, and the PROXY protocol at the balancer",
                "count": 1,
                "seconds": 60.0,
            }
            for index, spread in self._spreads().items()
            if self._is_balancer(index, spread)
        ]

    def charted(self) -> list[bytes]:
        """Return the rates of the largest sources in the last ten minutes, each moment as JSON."""
        return list(self._charted)

    # Our own.

    def _is_due(self) -> bool:
        now: float = self._reactor.seconds()
        rest = LOOKING_REST if now - self._looked_at < LOOKED else REST
        # A check may come a little early.
        return now >= self._rests_until and now - self._last_charted >= rest - _EARLY

    @property
    def _last_charted(self) -> float:
        return self._charted_at[-1] if self._charted_at else float("-inf")

    def _begin(self, is_viewed: bool) -> None:
        self._spent = 0.0
        self._work = self._working(is_viewed)
        self._reactor.callLater(0, self._go_on)

    def _working(self, is_viewed: bool) -> Iterator[None]:
        from statsd_tcp.who.merged import merge
        from statsd_tcp.who.totals import Totals

        board = self._board
        if board is None:
            return
        if self._totals is None:
            self._totals = Totals(board)
        yield from self._totals.fold(self._ticks())
        if is_viewed or self._waiting:
            self._view = yield from merge(self._totals, board, self._ticks(), self._began)
            self._chart()
            self._rests_until = self._reactor.seconds() + COST * self._spent

    def _go_on(self) -> None:
        """Do one piece of work, and let others have their turn."""
        began = self._reactor.seconds()
        try:
            next(self._work or iter(()))
        except StopIteration:
            self._end(began)
        except Exception:  # noqa: BLE001  (nothing else depends on it: what is counted goes on)
            self._log.failure("sources cannot be added up")
            self._end(began)
        else:
            self._note_time(began)
            self._reactor.callLater(0, self._go_on)

    def _note_time(self, began: float) -> None:
        took = self._reactor.seconds() - began
        self._spent += took
        self.longest = max(self.longest, took)

    def _end(self, began: float) -> None:
        self._note_time(began)
        self._work = None
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)

    def _chart(self) -> None:
        now = self._reactor.seconds()
        rates: dict[str, float] = {}
        for row in self.rows(CHARTED):
            label = f"{row.source} {row.name}".rstrip()
            rates[label] = round(rates.get(label, 0.0) + row.per_second.connections, 1)
        moment = msgspec.json.encode({"at": round(now, 1), "sources": rates})
        self._charted.append(moment)
        self._charted_at.append(now)
        while self._charted_at[0] < now - KEPT:
            self._charted.popleft()
            self._charted_at.popleft()
        for heard in self.heard:
            heard(moment)

    def _spreads(self) -> dict[int, Spread]:
        found = {} if self._view is None else self._view.spreads()
        return {index: spread for index, spread in found.items() if index < len(self._listeners)}

    def _is_balancer(self, index: int, spread: Spread) -> bool:
        alone = spread.share >= ALONE and spread.per_second >= MANY and self._listeners[index].may_have_header
        return alone and _is_other_machine(_network_of(spread.largest, *self._bits))

    @property
    def _bits(self) -> tuple[int, int]:
        plan = self._board.plan if self._board else None
        return (plan.bits_4, plan.bits_6) if plan else (32, 128)

    def _row(self, entry: Entry) -> SourceRow:
        source, name = self._told(entry.address)
        connections, err, *numbers = entry.since
        return SourceRow(
            source=source,
            name=name,
            listener=self._listeners[entry.listener].label,
            per_second=PerSecond(*(round(rate, 2) for rate in entry.per_second[:5])),
            connections=connections,
            err=err,
            **dict(zip(("lines", "bytes", "bad", "resets", "evicted", "limited"), numbers, strict=True)),
        )

    def _told(self, address: bytes) -> tuple[str, str]:
        """Return a source as it is written, and its name."""
        if address.startswith(UNIX):
            return f"uid {int.from_bytes(address[len(UNIX) :], 'big')}", ""
        network = _network_of(address, *self._bits)
        written = str(network.network_address) if network.num_addresses == 1 else str(network)
        return written, "" if self._names is None else self._names.of(network)


def _network_of(address: bytes, bits_4: int, bits_6: int) -> IPv4Network | IPv6Network:
    if address.startswith(MAPPED):
        return ip_network((address[len(MAPPED) :], bits_4), strict=False)
    return ip_network((address, bits_6), strict=False)


def _is_other_machine(network: IPv4Network | IPv6Network) -> bool:
    """Return whether a source is one machine, as a balancer is, and not this one, which often is the only client.

    With a wide mask a source is a network of clients. That of loopback is wider than the address itself.
    """
    is_one = network.prefixlen >= _MACHINE[network.version]
    return is_one and not network.is_loopback and _LOOPBACK_6 not in network
