"""The comparison: what the service has counted against what its clients sent, with the allowance of each death."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from tests.functional.metrics import Metrics
from tests.torture.books import BARE, KINDS, LINE_KINDS, SILENT, Deaths, Kind, Visit, certain_lines

__all__ = ["Account", "Row", "judge", "losses"]

LISTENERS: dict[str, tuple[Kind, ...]] = {"bare": (BARE,), "lines": (*LINE_KINDS, SILENT)}

LET_GO = ("evicted", "first_byte")
"""The reasons for which a connection that its client keeps open is closed."""

_SHOWN = 20


class Row(NamedTuple):
    """One number that the service gives, between what it must be at least and may be at most."""

    what: str
    least: float
    counted: float
    most: float

    @property
    def right(self) -> bool:
        """Return whether it is."""
        return self.least <= self.counted <= self.most


class Account:
    """All visits added up, each with the deaths that may have cost it. By kind, except for what no death excuses."""

    def __init__(self, visits: Iterable[Visit], deaths: Deaths) -> None:
        self.deaths = deaths
        self.visits = Counter[Kind]()
        self.connected = Counter[Kind]()
        self.safe = Counter[Kind]()
        """Connected, and not overlapped by the death of a supervisor."""
        self.sent = Counter[Kind]()
        self.certain = Counter[Kind]()
        """Lines that must be counted."""
        self.errors = Counter[str]()
        self.overlapped = self.cut_off = self.let_go = self.hurt = 0
        for visit in visits:
            self._add(visit)

    def _add(self, visit: Visit) -> None:
        kind, touching = visit.kind, self.deaths.touching(visit)
        self.visits[kind] += 1
        self.sent[kind] += len(visit.sent)
        self.certain[kind] += certain_lines(visit, touching)
        if visit.connected:
            self.connected[kind] += 1
            self.safe[kind] += not any(death.whole for death in touching)
            self.overlapped += bool(touching)
        if visit.error:
            self.errors[visit.error] += 1
            self.cut_off += visit.connected
            if not touching:
                self._tell(visit)
        elif visit.let_go and not touching:
            self.let_go += 1

    def _tell(self, visit: Visit) -> None:
        self.hurt += 1
        if self.hurt <= _SHOWN:
            print(f"without a reason: {visit}")  # noqa: T201


def judge(account: Account, metrics: Metrics, in_backend: dict[str, float]) -> list[Row]:
    """Compare everything. Without deaths there is nothing to allow, and every row is exact."""
    return [
        Row("clients hurt without a death", 0, account.hurt, 0),
        *_connections(account, metrics),
        *_lines(account, metrics),
        *_agreement(metrics, in_backend),
    ]


def _connections(account: Account, metrics: Metrics) -> list[Row]:
    """Count connections: a worker's death costs one, the one in hand; a supervisor's those that were open or came."""
    rows = []
    for listener, kinds in LISTENERS.items():
        most = sum(account.connected[kind] for kind in kinds)
        least = sum(account.safe[kind] for kind in kinds) - account.deaths.workers
        closed = metrics.closed(listener)
        accepted, ended = metrics.accepted(listener), sum(closed.values())
        rows.append(Row(f"connections of {listener}", least, accepted, most))
        rows.append(Row(f"closed connections of {listener}", accepted, ended, accepted))
    # Of the others some may have been let go in the moment in which they ended by themselves.
    let_go = sum(closed.get(reason, 0) for reason in LET_GO)
    rows.append(Row("connections let go for others", account.let_go, let_go, account.connected[SILENT]))
    return rows


def _lines(account: Account, metrics: Metrics) -> list[Row]:
    """Count lines: what was open when a process died may have been read or not; all else counts once."""
    rows = [Row(f"lines {kind}", account.certain[kind], metrics.total(kind), account.sent[kind]) for kind in LINE_KINDS]
    # Tighter where the server knows: a short connection whose line is missing died with a worker, or in its hand.
    least = account.safe["at_once"] - metrics.closed("lines").get("killed", 0) - account.deaths.all
    rows.append(Row("lines at_once of all but the killed", least, metrics.total("at_once"), 1e12))
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


def losses(account: Account, metrics: Metrics) -> dict[str, float]:
    """Return for the report what was connected and sent, and how much of it is not counted."""
    connected, sent = account.connected.total(), account.sent.total()
    return {
        "connections": connected,
        "connections not counted": connected - metrics.accepted("bare") - metrics.accepted("lines"),
        "lines sent": sent,
        "lines not counted": sent - sum(metrics.total(kind) for kind in LINE_KINDS),
        "open when somebody died": account.overlapped,
        **{f"visits {kind}": account.visits[kind] for kind in KINDS},
        "refused": account.errors["ConnectionRefusedError"],
        "cut off": account.cut_off,
        "let go for others": sum(metrics.closed("lines").get(reason, 0) for reason in LET_GO),
    }
