"""The lanes of a worker: made for the sockets that it was given, with the factories of the connections that stay."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from twisted.python.failure import Failure

from statsd_tcp.ingest.balanced import BalancedLineLane
from statsd_tcp.ingest.batches import BatchIntake
from statsd_tcp.ingest.confirming import ConfirmingProtocol
from statsd_tcp.ingest.datagrams import DatagramLane, SegmentLane, UnixDatagramLane
from statsd_tcp.ingest.giving import BalancedGivingLane, GivingLane
from statsd_tcp.ingest.hand_over import HandOverLane
from statsd_tcp.ingest.intake import Intake
from statsd_tcp.ingest.kept_lane import KeptLane
from statsd_tcp.ingest.lane import AcceptLane
from statsd_tcp.ingest.lane_kinds import LaneKinds
from statsd_tcp.ingest.limits import ListenerLimits, WorkerLimits
from statsd_tcp.ingest.line_lane import LineLane
from statsd_tcp.ingest.occupancy import Occupancy
from statsd_tcp.ingest.protocol import LineFactory, MakeProtocol
from statsd_tcp.ingest.sources import ListenerSources, WorkerSources
from statsd_tcp.ingest.storing import StoringProtocol
from statsd_tcp.kernel.segments import gives_segments
from statsd_tcp.ledger.cells import ListenerCells
from statsd_tcp.sockets.tls import server_context
from statsd_tcp.wire.grammar import Grammar
from statsd_tcp.workers.channel import Boot, LaneSpec
from statsd_tcp.workers.moderators import Moderators

__all__ = ["LaneMaker"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LaneMaker:
    """Makes lanes and factories of what those of a worker have in common.

    ``indexes`` and ``grammars`` are by the index of the listener, and so are the ``factories`` that were made.
    """

    reactor: Any
    boot: Boot
    cells: memoryview
    indexes: Sequence[ListenerCells]
    grammars: Sequence[Grammar]
    kinds: LaneKinds
    intake: Intake
    batches: BatchIntake
    moderators: Moderators
    occupancy: Occupancy
    kept_lane: KeptLane
    sources: WorkerSources | None
    limits: WorkerLimits | None
    failed: Callable[[Failure], None]
    factories: dict[int, LineFactory] = field(default_factory=dict)

    def make(self, spec: LaneSpec) -> AcceptLane | DatagramLane:
        """Make the lane of a socket, and the factory of its listener where that has one."""
        sources = ListenerSources(self.sources, spec.index) if self.sources is not None and spec.sources else None
        if spec.kind == "datagrams":
            return self._datagrams(spec, sources)
        listener = socket.socket(spec.family, socket.SOCK_STREAM, 0, fileno=spec.descriptor)
        listener.setblocking(False)
        serving = (self.reactor, listener, self.cells, self.indexes[spec.index], self.moderators.coming, self.failed)
        if spec.kind == "count":
            return self.kinds.counting(*serving, sources, self._limit(spec))
        return self._kind_of(spec)(
            *serving,
            sources,
            self._limit(spec),
            intake=self.intake,
            index=spec.index,
            occupancy=self.occupancy,
            hand_over=self._factory(spec).hand_over,
            max_line=self.grammars[spec.index].max_line,
            framing=spec.framing,
            **_keys_of(spec),
        )

    def _datagrams(self, spec: LaneSpec, sources: ListenerSources | None) -> DatagramLane:
        port = socket.socket(spec.family, socket.SOCK_DGRAM, 0, fileno=spec.descriptor)
        if spec.family == socket.AF_UNIX:
            serving = (self.reactor, port, self.intake, spec.index, self.moderators.coming, self.failed)
            return UnixDatagramLane(*serving, self.kinds.read_datagrams)
        comes_at_once = gives_segments(port)
        return (SegmentLane if comes_at_once else DatagramLane)(
            *(self.reactor, port, self.intake, spec.index, self.moderators.datagrams, self.failed),
            self.kinds.read_segments if comes_at_once else self.kinds.read_datagrams,
            sources,
            self.moderators.pace,
        )

    def _limit(self, spec: LaneSpec) -> ListenerLimits | None:
        """Return the limits of sources at a listener. A Unix socket has none: its mode says who may connect."""
        if self.limits is None or spec.family == socket.AF_UNIX:
            return None
        indexes = self.indexes[spec.index]
        limits = ListenerLimits(self.limits, spec.index, self.cells, indexes, self.sources)
        self.intake.limits[spec.index] = limits
        return limits

    def _kind_of(self, spec: LaneSpec) -> type[HandOverLane]:
        # Nothing of these is short.
        if spec.kind == "tls" or spec.stores:
            return BalancedGivingLane if spec.proxy else GivingLane
        # Of packets with their length before them no read tells by its end that it is whole: nothing to be done in C.
        if spec.proxy or spec.confirms:
            return self.kinds.balanced if spec.framing == "lines" else BalancedLineLane
        return self.kinds.lines if spec.framing == "lines" else LineLane

    def _factory(self, spec: LaneSpec) -> LineFactory:
        """Return the factory of a listener, which its address families share."""
        factory = self.factories.get(spec.index)
        if factory is None:
            factory = self.factories[spec.index] = self._make_factory(spec)
        return factory

    def _make_factory(self, spec: LaneSpec) -> LineFactory:
        common = (
            self.reactor,
            self.cells,
            self.indexes[spec.index],
            self.moderators.kept,
            self.occupancy,
            self.boot.idle_timeout,
            self.boot.first_byte_timeout,
            self.boot.max_age,
        )
        is_headed = bool(spec.proxy)
        keep = self.kept_lane.keep
        material = self.boot.tls.get(spec.index)
        if material is None:
            return LineFactory(*common, is_headed=is_headed, protocol=self._protocol(spec), keep=keep)
        from statsd_tcp.ingest.tls_lane import StoringTlsProtocol, TlsFactory

        kind = partial(StoringTlsProtocol, self.batches) if spec.stores else None
        context = server_context(material)
        return TlsFactory(*common, context=context, is_headed=is_headed, protocol=kind, keep=keep)

    def _protocol(self, spec: LaneSpec) -> MakeProtocol | None:
        if spec.stores:
            return partial(StoringProtocol, self.batches)
        return ConfirmingProtocol if spec.confirms else None


def _keys_of(spec: LaneSpec) -> dict[str, Any]:
    """Return what only the lanes of listeners behind a balancer are told."""
    keys: dict[str, Any] = {"proxy": spec.proxy, "trust": spec.trust} if spec.proxy else {}
    return keys | ({"confirms": True} if spec.confirms else {})
