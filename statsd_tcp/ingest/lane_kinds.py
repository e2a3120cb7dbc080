"""Which lanes serve: those in Python, or those whose inner loop is in C."""

from __future__ import annotations

from typing import NamedTuple

from statsd_tcp.ingest.balanced import BalancedLineLane, NativeBalancedLineLane
from statsd_tcp.ingest.datagrams import ReadDatagrams, read_datagrams, read_segments
from statsd_tcp.ingest.lane import CountLane
from statsd_tcp.ingest.limits import AdmitsInC
from statsd_tcp.ingest.line_lane import LineLane
from statsd_tcp.ingest.native_lanes import NativeCountLane, NativeLineLane
from statsd_tcp.ingest.sources import AddInC

__all__ = ["LaneKinds", "lane_kinds"]


class LaneKinds(NamedTuple):
    """Which lanes serve: for ports that count, for lines, and for lines behind a balancer.

    ``add_source`` is the part in C that tells of sources, ``admits`` that which limits them, None if Python does it.
    """

    counting: type[CountLane]
    lines: type[LineLane]
    balanced: type[BalancedLineLane]
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
            _burst.datagrams,
            _burst.segments,
            _burst.add_source,
            _burst.admits,
        )
    return LaneKinds(CountLane, LineLane, BalancedLineLane)
