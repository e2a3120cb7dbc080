"""What the tests of ledgers share: a folder, and ledgers in it."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.ledger.cells import ledger_cells
from statsd_tcp.ledger.file import LedgerMap, create_ledger
from statsd_tcp.ledger.layout import Directory

BOOT_ID = bytes(range(16))
LISTENERS = [("tcp:8125", "etsy"), ("udp:8125", "dogstatsd")]


class LedgerTestCase(SynchronousTestCase):
    """A test with a folder for ledgers."""

    def setUp(self) -> None:
        """Make the folder."""
        folder = TemporaryDirectory(prefix="statscounter-")
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def create(self, worker: int = 3, ring_size: int = 4096) -> Path:
        """Make a ledger file."""
        directory = Directory(ledger_cells([label for label, _ in LISTENERS]), LISTENERS)
        return create_ledger(self.folder, worker, directory, created=1234, boot_id=BOOT_ID, ring_size=ring_size)

    def map(self, path: Path, *, writable: bool = False) -> LedgerMap:
        """Map a ledger file, for the time of the test."""
        descriptor = os.open(path, os.O_RDWR if writable else os.O_RDONLY)
        try:
            ledger = LedgerMap(descriptor, str(path), writable=writable)
        finally:
            os.close(descriptor)
        self.addCleanup(ledger.close)
        return ledger
