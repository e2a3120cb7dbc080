"""What is under way and for how long: what hangs fails nowhere, and so has to be looked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from statsd_tcp.status.health import LONGEST_COMMIT

__all__ = ["WHAT", "IUnderway", "Underway"]


class IUnderway(Protocol):
    """Something that begins and ends."""

    @property
    def underway(self) -> float | None:
        """Return for how many seconds it has been under way, None if it is not."""


class _Kind(NamedTuple):
    """After how many seconds it is a finding, and what to say then."""

    longest: float
    text: str


_KINDS: Mapping[str, _Kind] = {
    "commit": _Kind(LONGEST_COMMIT, "a commit has not returned: the disk of the state folder does not answer"),
    "recovery": _Kind(60.0, "the journal of a dead worker is not read to its end; the log says why, if it fails"),
    "rehearsal": _Kind(45.0, "a reload has not come to its end"),
    "delivery": _Kind(60.0, "a flush is not delivered"),
    "start": _Kind(20.0, "a worker has been started and does not accept yet"),
}
"""Each far beyond what is usual on a busy machine."""

WHAT = tuple(_KINDS)


class Underway:
    """Asks everything that takes time: ``parts`` are those of each kind of `WHAT`."""

    def __init__(self, parts: Mapping[str, Sequence[IUnderway]]) -> None:
        self._parts = parts

    def ages(self) -> dict[str, float]:
        """Return for how many seconds the oldest of each kind has been under way; 0 where there is none."""
        return {what: max((one.underway or 0.0 for one in self._parts.get(what, ())), default=0.0) for what in WHAT}

    def findings(self) -> list[dict[str, Any]]:
        """Return what takes long, as the status page writes findings."""
        return [_finding(what, age) for what, age in self.ages().items() if age > _KINDS[what].longest]


def _finding(what: str, age: float) -> dict[str, Any]:
    return {
        "id": f"underway.{what}",
        "text": f"{_KINDS[what].text} (for {age:.0f} s)",
        "setting": "",
        "command": "",
        "count": 1,
        "seconds": round(age, 3),
    }
