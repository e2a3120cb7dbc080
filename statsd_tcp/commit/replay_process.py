"""The process that reads a dead worker's journal: ``python -m statsd_tcp.commit.replay_process PATH START``.

It is one of its own because nobody knows yet why the worker died: if one of the lines did it, reading them again would
do the same to the supervisor, at this start and every later one. Prints `BEGUN`, then a `Replay` in msgpack, and
nothing else: what goes wrong before that is not the journal's fault.
"""

from __future__ import annotations

import os
import sys
import traceback

import msgspec

from statsd_tcp import crash_points
from statsd_tcp.commit.replay import replay
from statsd_tcp.ledger.cells import FAILED_READINGS
from statsd_tcp.ledger.file import LedgerMap

__all__ = ["BEGUN", "main"]

BEGUN = b"!"

NICENESS = 5
"""A worker's replacement, which clients wait for, may start at the same moment."""


def main(path: str, start: int) -> None:
    """Read the ledger at ``path`` from that offset on; raises `LedgerError`, `OSError`."""
    os.nice(NICENESS)
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    ledger = LedgerMap(descriptor, path, writable=False)
    crash_points.arm(os.environ, crash_points.READING, ledger.cells[FAILED_READINGS])
    with os.fdopen(1, "wb", closefd=False) as output:
        output.write(BEGUN)
        output.flush()
        output.write(msgspec.msgpack.encode(replay(ledger, start)))


if __name__ == "__main__":
    try:
        main(sys.argv[1], int(sys.argv[2]))
    except Exception:  # noqa: BLE001  (the edge of the process)
        traceback.print_exc()
        sys.exit(1)
