"""The series that the last scrape could not show, each with the one that has its place: harmless to look at."""

from __future__ import annotations

from typing import NamedTuple

from statsd_tcp.aggregate.examples import LONGEST
from statsd_tcp.status.examples import shown
from statsd_tcp.wire.notation import as_text

__all__ = ["LeftOut", "in_status"]


class LeftOut(NamedTuple):
    """A series that is left out, by its identity, with the reason and the kind; then the series that has its place.

    There is none if the service itself has it, or a family of which no series is left.
    """

    reason: str
    kind: str
    series: str
    holder_kind: str = ""
    holder: str = ""


def in_status(one: LeftOut) -> dict[str, str]:
    """Write one for the status: the names are foreign, and as long as clients like."""
    return {
        "reason": one.reason,
        "type": one.kind,
        "series": _cut(one.series),
        "holder_type": one.holder_kind,
        "holder": _cut(one.holder),
    }


def _cut(identity: str) -> str:
    text = as_text(identity).encode(errors="replace")
    return shown(text[:LONGEST]) + (" ..." if len(text) > LONGEST else "")
