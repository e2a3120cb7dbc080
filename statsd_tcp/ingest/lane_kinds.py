"""Which lanes serve: those in Python, or those whose inner loop is in C."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from twisted.python.failure import Failure

from statsd_tcp.ingest.balanced import BalancedLineLane, NativeBalancedLineLane
from statsd_tcp.ingest.datagrams import ReadDatagrams, read_datagrams, read_segments
from statsd_tcp.ingest.intake import Intake
from statsd_tcp.ingest.kept_lane import KeptLane
from statsd_tcp.ingest.lane import CountLane
from statsd_tcp.ingest.limits import AdmitsInC
from statsd_tcp.ingest.line_lane import LineLane
from statsd_tcp.ingest.moderation import Moderator
from statsd_tcp.ingest.native_kept_lane import NativeKeptLane
from statsd_tcp.ingest.native_lanes import NativeCountLane, NativeLineLane
from statsd_tcp.ingest.sources import AddInC

__all__ = ["LaneKinds", "lane_kinds"]

KeptLaneMaker = Callable[[Any, Moderator, Callable[[Failure], None], Intake], KeptLane]


def _kept(reactor: Any, moderator: Moderator, lost: Callable[[Failure], None], _: Intake) -> KeptLane:
    return KeptLane(reactor, moderator, lost)


class LaneKinds(NamedTuple):
    """Which lanes serve: for ports that count, for lines, for lines behind a balancer, and for connections that stay.

    ``add_source`` is the part in C that tells of sources, ``admits`` that which limits them, None if Python does it.
    """

    counting: type[CountLane]
    lines: type[LineLane]
    balanced: type[BalancedLineLane]
    kept: KeptLaneMaker = _kept
    read_datagrams: ReadDatagrams = read_datagrams
    read_segments: ReadDatagrams = read_segments
    add_source: AddInC | None = None
    admits: AdmitsInC | None = None


def lane_kinds(*, in_c: bool) -> LaneKinds:
    """Return the lanes in C, which must have been built, or those in Python."""
    if in_c:
        from statsd_tcp.ingest import _burst

        return LaneKinds(
            NativeCountLane,
            NativeLineLane,
            NativeBalancedLineLane,
            NativeKeptLane,
            _burst.datagrams,
            _burst.segments,
            _burst.add_source,
            _burst.admits,
        )
    return LaneKinds(CountLane, LineLane, BalancedLineLane)
