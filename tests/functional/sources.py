"""What a service says of its sources, and what is in the memories that its supervisor shares with the workers."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from statsd_tcp.who.layout import BEGAN, CELLS_SIZE, OPEN, RECORD, TABLE_SETS, Record, table_offset, table_size
from tests.functional.processes import descriptors
from tests.functional.service import Service

__all__ = ["PREFIX", "count_all", "memories", "prolong", "records_of"]

PREFIX = "memfd:sources"
"""What the name of such a memory begins with, as a descriptor's link has it."""


def memories(service: Service) -> dict[int, bytes]:
    """Return each memory that the supervisor has open, by the number of its inode."""
    found = {}
    for memory in _files(service):
        # That of a worker that has ended may go meanwhile.
        with suppress(FileNotFoundError):
            found[memory.stat().st_ino] = memory.read_bytes()
    return found


def prolong(service: Service) -> None:
    """Have the period that is open begin now: for a minute nothing is folded, and a memory has all that came in it."""
    for memory in _files(service):
        with suppress(FileNotFoundError), memory.open("r+b") as file:
            file.seek(8 * BEGAN)
            file.write(time.monotonic_ns().to_bytes(8, "little"))


def _files(service: Service) -> Iterator[Path]:
    supervisor = service.process.pid
    for number in [number for number, link in descriptors(supervisor).items() if PREFIX in link]:
        yield Path(f"/proc/{supervisor}/fd/{number}")


def records_of(memory: bytes) -> list[Record]:
    """Return the records of both tables."""
    sets = memoryview(memory)[:CELLS_SIZE].cast("Q")[TABLE_SETS]
    tables = [memory[table_offset(period, sets) :][: table_size(sets)] for period in (1, 2)]
    assert memoryview(memory)[:CELLS_SIZE].cast("Q")[OPEN] <= 2, "periods have ended since the start"
    return [record for table in tables for record in map(Record._make, RECORD.iter_unpack(table)) if record.listener]


def count_all(service: Service, listener: str, column: str = "connections") -> dict[str, int]:
    """Return a column of all sources of a listener, as the service tells it; none may have an error."""
    page = service.page(f"/api/v1/who?top=1000&listener={listener}")
    assert page.status == 200, page
    rows = json.loads(page.body)["sources"]
    assert len(rows) < 1000
    assert not any(row["err"] for row in rows)
    return {row["source"]: row[column] for row in rows if row[column]}
