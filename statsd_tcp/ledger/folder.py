"""All ledgers of a state directory: those of living workers, and those that a dead one left behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

from twisted.logger import Logger

from statsd_tcp.ledger.cells import FAILED_READINGS, JOURNAL_HEAD, ledger_cells
from statsd_tcp.ledger.file import LedgerMap, create_ledger, ledger_paths, lock_ledger, read_boot_id
from statsd_tcp.ledger.layout import CELL_SIZE, Directory, LedgerCounts, LedgerError
from statsd_tcp.words import in_words

__all__ = ["Ledger", "LedgerFolder"]

_ASIDE = ".damaged"
_UNREAD = ".unread"
"""What a file is called from then on: one that is no ledger of this version, and one whose journal couldn't be read."""


class Ledger:
    """One ledger, read by the supervisor. ``retired``: its writer is dead, and its numbers are final."""

    def __init__(self, path: Path) -> None:
        """Open the file to read; raises `LedgerError`, `OSError`."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self.map = LedgerMap(descriptor, str(path), writable=False)
        finally:
            os.close(descriptor)
        if self.map.ledger_id != path.stem:
            self.map.close()
            raise LedgerError(f"{path} is a copy of the ledger {self.map.ledger_id}")
        self.path = path
        self.retired = False

    @property
    def ledger_id(self) -> str:
        """Give its id."""
        return self.map.ledger_id

    @property
    def worker(self) -> int:
        """Give the number of the worker that writes it."""
        return self.map.header.worker

    def cell(self, index: int) -> int:
        """Read one cell."""
        return int(self.map.cells[index])

    @property
    def head(self) -> int:
        """Give where the journal ends."""
        return self.cell(JOURNAL_HEAD)

    @property
    def failed_readings(self) -> int:
        """Give how often reading the journal has failed since the worker died."""
        return self.cell(FAILED_READINGS)

    def note_failed_reading(self) -> None:
        """Count one more, in the file itself: whoever starts the service next must know."""
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        try:
            number = (self.failed_readings + 1).to_bytes(CELL_SIZE, "little")
            os.pwrite(descriptor, number, self.map.header.cells_at + FAILED_READINGS * CELL_SIZE)
        finally:
            os.close(descriptor)

    def counts(self) -> LedgerCounts:
        """Read all cells.

        Everything else is read before the accepted connections are, so that no more were closed than accepted.
        """
        cells = self.map.cells
        names = self.map.directory.cells
        values = dict(zip(names, cells.tolist(), strict=True))
        accepted = cells.tolist()
        for index, name in enumerate(names):
            if name.metric == "accepted":
                values[name] = accepted[index]
        return LedgerCounts(self.ledger_id, self.worker, self.map.boot_id, values)


class LedgerFolder:
    """The ledgers in ``folder``. Used from the reactor's thread, but for `Ledger.map` of retired ones."""

    _log = Logger()

    def __init__(self, folder: Path, proc: Path = Path("/proc"), wall: Callable[[], int] = time.time_ns) -> None:
        """Use a folder that exists, and that nobody else uses; ``wall`` gives nanoseconds since 1970."""
        self._folder = folder
        self._wall = wall
        self._boot_id = read_boot_id(proc)
        self.ledgers: dict[str, Ledger] = {}
        self._orphans: list[Ledger] = []
        self.unreadable: set[str] = set()
        """The ids of ledgers that can't be opened for now, and stay for the next start."""
        self.set_aside = sum(1 for path in folder.iterdir() if path.suffix in (_ASIDE, _UNREAD))
        """How many files wait for somebody to look at them."""

    def make(self, worker: int, listeners: list[tuple[str, str]]) -> tuple[Ledger, int]:
        """Make the ledger of a new worker; give it with the descriptor, already locked, that the worker shall have.

        Raises `OSError`, as on a full disk.
        """
        directory = Directory(ledger_cells([label for label, _ in listeners]), listeners)
        path = create_ledger(self._folder, worker, directory, created=self._wall(), boot_id=self._boot_id)
        try:
            ledger = Ledger(path)
            descriptor = lock_ledger(path)
        except OSError:
            path.unlink()
            raise
        self.ledgers[ledger.ledger_id] = ledger
        return ledger, descriptor

    def find(self) -> int:
        """Open the ledgers that an earlier run left, and give their number. One that can't be read is set aside."""
        for path in ledger_paths(self._folder):
            try:
                ledger = Ledger(path)
            except LedgerError as error:
                self._put_aside(path, _ASIDE, str(error))
            except OSError as error:
                self.unreadable.add(path.stem)
                why = in_words(error)
                self._log.error("a ledger of the last run can't be read, and stays for the next: {why}", why=why)
            else:
                self.ledgers[ledger.ledger_id] = ledger
                self._orphans.append(ledger)
        return len(self._orphans)

    def claim(self, ledger_id: str) -> Ledger | None:
        """Give a ledger that was found, whose writer isn't an orphan but ours; None if there is none of that id."""
        ledger = self.ledgers.get(ledger_id)
        self._orphans = [orphan for orphan in self._orphans if orphan is not ledger]
        return ledger

    def retire_orphans(self) -> int:
        """Retire those of an earlier run whose writer is gone by now; give the number of the others."""
        waiting = []
        for ledger in self._orphans:
            try:
                os.close(lock_ledger(ledger.path))
            except BlockingIOError:
                waiting.append(ledger)
            else:
                ledger.retired = True
        self._orphans = waiting
        return len(waiting)

    def counts(self) -> list[LedgerCounts]:
        """Read the cells of all ledgers."""
        return [ledger.counts() for ledger in self.ledgers.values()]

    def names(self) -> set[str]:
        """Give the ids of all ledgers of which there is a file, whatever has become of it."""
        return {path.stem for path in self._folder.iterdir()}

    def give_up(self, ledger: Ledger, why: str) -> None:
        """Keep the file of a ledger that the store has taken in as far as it could; raises `OSError`."""
        self._put_aside(ledger.path, _UNREAD, f"{ledger.path}: {why}")
        del self.ledgers[ledger.ledger_id]
        ledger.map.close()

    def _put_aside(self, path: Path, suffix: str, why: str) -> None:
        aside = path.with_suffix(suffix)
        path.rename(aside)
        self.set_aside += 1
        self._log.error("{why}; it is kept as {aside}", why=why, aside=aside)

    def remove(self, ledger: Ledger) -> None:
        """Delete the file of a ledger that the store has taken in; raises `OSError` when that can't be done."""
        del self.ledgers[ledger.ledger_id]
        ledger.map.close()
        ledger.path.unlink(missing_ok=True)
