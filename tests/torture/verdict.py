"""The comparison: what the service has counted against what its clients sent, with the allowance of each death."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from tests.functional.metrics import Metrics
from tests.torture.books import BARE, KINDS, LINE_KINDS, Books, Death, Visit, certain_lines

__all__ = ["Row", "judge"]


class Row(NamedTuple):
    """One number that the service gives, between what it must be at least and may be at most."""

    what: str
    least: float
    counted: float
    most: float

    @property
    def right(self) -> bool:
        """Tell whether it is."""
        return self.least <= self.counted <= self.most


def judge(books: Books, deaths: Sequence[Death], metrics: Metrics, in_backend: dict[str, float]) -> list[Row]:
    """Compare everything. Without deaths there is nothing to allow, and every row is exact."""
    return [
        *_harmless(books, deaths),
        *_connections(books, deaths, metrics),
        *_lines(books, deaths, metrics),
        *_agreement(metrics, in_backend),
    ]


def _harmless(books: Books, deaths: Sequence[Death]) -> list[Row]:
    """Nobody fares badly but for a death."""
    hurt = [visit for visit in books.visits if visit.error and not _touched(visit, deaths)]
    for visit in hurt[:20]:
        print(f"without a reason: {visit}")  # noqa: T201
    return [Row("clients hurt without a death", 0, len(hurt), 0)]


def _connections(books: Books, deaths: Sequence[Death], metrics: Metrics) -> list[Row]:
    """Count connections: a worker's death costs one, the one in hand; a supervisor's those that were open or came."""
    workers = sum(1 for death in deaths if not death.whole)
    rows = []
    for listener, kinds in (("bare", [BARE]), ("lines", LINE_KINDS)):
        visits = [visit for kind in kinds for visit in books.of(kind) if visit.connected]
        safe = sum(1 for visit in visits if not _touched(visit, [death for death in deaths if death.whole]))
        rows.append(Row(f"connections of {listener}", safe - workers, metrics.accepted(listener), len(visits)))
        closed = sum(metrics.closed(listener).values())
        rows.append(Row(f"closed connections of {listener}", metrics.accepted(listener), closed, closed))
    return rows


def _lines(books: Books, deaths: Sequence[Death], metrics: Metrics) -> list[Row]:
    """Count lines: what was open when somebody died may have been read or not; all else counts once."""
    rows = []
    for kind in LINE_KINDS:
        visits = books.of(kind)
        least = sum(certain_lines(visit, deaths) for visit in visits)
        most = sum(len(visit.sent) for visit in visits)
        rows.append(Row(f"lines {kind}", least, metrics.total(kind), most))
    # Tighter where the server knows: a short connection whose line is missing died with a worker, or in its hand.
    whole = [death for death in deaths if death.whole]
    safe = [visit for visit in books.of("at_once") if visit.connected and not _touched(visit, whole)]
    killed = metrics.closed("lines").get("killed", 0) + len(deaths)
    rows.append(Row("lines at_once of all but the killed", len(safe) - killed, metrics.total("at_once"), 1e12))
    return rows


def _agreement(metrics: Metrics, in_backend: dict[str, float]) -> list[Row]:
    """All that the service says agrees with itself, and with what its backend has."""
    lines = metrics.total("statscounter_lines_total", listener="lines")
    total = sum(metrics.total(kind) for kind in LINE_KINDS)
    rows = [Row("lines against counters", total, lines, total)]
    for kind in LINE_KINDS:
        counted = metrics.total(kind)
        rows.append(Row(f"{kind} in the backend", counted, in_backend[kind], counted))
    rows.append(Row("ledgers set aside", 0, metrics.total("statscounter_ledgers_set_aside"), 0))
    return rows


def _touched(visit: Visit, deaths: Sequence[Death]) -> bool:
    return any(death.touches(visit) for death in deaths)


def losses(books: Books, deaths: Sequence[Death], metrics: Metrics) -> dict[str, float]:
    """Give for the report what was connected and sent, and how much of it isn't counted."""
    connected = sum(1 for visit in books.visits if visit.connected)
    accepted = metrics.accepted("bare") + metrics.accepted("lines")
    sent = sum(len(visit.sent) for visit in books.visits)
    return {
        "connections": connected,
        "connections not counted": connected - accepted,
        "lines sent": sent,
        "lines not counted": sent - sum(metrics.total(kind) for kind in LINE_KINDS),
        "open when somebody died": sum(1 for visit in books.visits if visit.connected and _touched(visit, deaths)),
        **{f"visits {kind}": len(books.of(kind)) for kind in KINDS},
        "refused": sum(1 for visit in books.visits if visit.error == "ConnectionRefusedError"),
        "cut off": sum(1 for visit in books.visits if visit.error and visit.connected),
    }
