"""What a whole state directory looks like, point by point."""

from __future__ import annotations

import math
from collections import defaultdict
from pathlib import Path

from statsd_tcp.commands.store.reading import StoreReader
from statsd_tcp.ledger.cells import JOURNAL_HEAD, JOURNAL_RELEASED
from statsd_tcp.ledger.file import ledger_paths
from statsd_tcp.ledger.layout import LedgerError
from statsd_tcp.ledger.reader import LedgerReader
from statsd_tcp.store.snapshot import ACCEPTED, CLOSED

__all__ = ["check_store"]


def check_store(reader: StoreReader, ledgers: Path) -> list[str]:
    """Return every fault in a line of its own; none for a store that is whole."""
    damage = reader.damage()
    if damage:
        # What stands in damaged pages cannot be judged.
        return [f"{reader.path}: {fault}" for fault in damage]
    return [*_totals(reader), *_series(reader), *_ledgers(reader, ledgers)]


def _totals(reader: StoreReader) -> list[str]:
    found, accepted, closed = [], defaultdict[str, int](int), defaultdict[str, int](int)
    for line in reader.totals():
        listener = line.labels.get("listener", "")
        if line.value < 0:
            found.append(f"total {line.metric} {line.labels} is negative: {line.value}")
        if line.metric == ACCEPTED:
            accepted[listener] += line.value
        elif line.metric == CLOSED:
            closed[listener] += line.value
    for listener, number in closed.items():
        # The counts of ended workers only: whatever they accepted they, or the supervisor for them, have closed.
        if number != accepted[listener]:
            found.append(f"listener {listener}: {accepted[listener]} connections accepted, but {number} closed")
    return found


def _series(reader: StoreReader) -> list[str]:
    return [
        f"series {line.name} {line.tags} ({line.kind}) is not a number: {line.value}"
        for line in reader.series()
        if not (math.isfinite(line.value) and math.isfinite(line.weight))
    ]


def _ledgers(reader: StoreReader, folder: Path) -> list[str]:
    committed = {line.ledger_id: line.committed for line in reader.ledgers()}
    found = []
    for path in ledger_paths(folder):
        try:
            found += _ledger(path, committed)
        except (LedgerError, OSError) as error:
            # One that is gone was taken in between the list and the look.
            if path.exists():
                found.append(f"{path}: {error.strerror}" if isinstance(error, OSError) else str(error))
    return found


def _ledger(path: Path, committed: dict[str, int]) -> list[str]:
    ledger = LedgerReader.open(path, foreign=True)
    try:
        # The head is read last: the others only ever follow it.
        released, head = ledger.cell(JOURNAL_RELEASED), ledger.cell(JOURNAL_HEAD)
    finally:
        ledger.close()
    offset = committed.get(ledger.ledger_id, 0)
    if not released <= head:
        return [f"{path}: released up to {released}, but written only up to {head}"]
    if offset > head:
        return [f"{path}: committed up to {offset}, but written only up to {head}"]
    return []
