"""All ledgers of a state directory: those of living workers, and those that a dead one left behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from twisted.logger import Logger

from statsd_tcp.ledger.cells import FAILED_READINGS, JOURNAL_HEAD, JOURNAL_RELEASED, ledger_cells
from statsd_tcp.ledger.file import create_ledger, ledger_paths, lock_ledger, read_boot_id, remove_unfinished
from statsd_tcp.ledger.layout import CELL_SIZE, Directory, LedgerCounts, LedgerError
from statsd_tcp.ledger.reader import LedgerReader, ShrunkError
from statsd_tcp.ledger.suspect import Suspect, pack_suspect, unpack_suspect
from statsd_tcp.words import in_words

__all__ = ["Fault", "Ledger", "LedgerFolder"]

Fault = Literal["missing", "shrunk", "counters"]
"""What can become of an open ledger's file: it is no longer at its place, it was cut off, or its numbers are wrong."""

_SAID: dict[Fault, str] = {
    "missing": "the ledger {path} of worker {worker} is gone; what it holds is read from the open file,"
    " and is lost if the service dies before",
    "shrunk": "the ledger {path} of worker {worker} was cut off: what was in it and not committed is lost",
    "counters": "the counters of the ledger {path} of worker {worker} are damaged, and count as they did before",
}

MOST_COUNT = 1 << 53
"""More than a worker can count in its life. One such number is not to keep the store from taking all others."""

_ASIDE = ".damaged"
_UNREAD = ".unread"
"""The suffixes of files that are set aside: not a ledger of this version, and a journal that could not be read."""


class Ledger:
    """One ledger, read by the supervisor. ``retired``: its writer is dead, and its numbers are final."""

    def __init__(self, path: Path) -> None:
        """Open the file to read; raises `LedgerError`, `OSError`."""
        self.file = LedgerReader.open(path)
        if self.file.ledger_id != path.stem:
            self.file.close()
            raise LedgerError(f"{path} is a copy of the ledger {self.file.ledger_id}")
        self.path = path
        self.retired = False
        self.faults: set[Fault] = set()
        """What has been noticed about the file and said."""
        self._suspect: int | None = None
        self._is_damaged = False
        names = self.file.directory.cells
        # Those without a listener come first, and count nothing.
        self._first = next((place for place, name in enumerate(names) if name.listener), len(names))
        self._names = names[self._first :]
        self._accepted = [place for place, name in enumerate(names) if name.metric == "accepted"]
        self._numbers: list[int] = []
        self._counts = LedgerCounts(self.ledger_id, self.worker, self.file.boot_id, {})

    @property
    def ledger_id(self) -> str:
        """Return its id."""
        return self.file.ledger_id

    @property
    def worker(self) -> int:
        """Return the number of the worker that writes it."""
        return self.file.header.worker

    def cell(self, index: int) -> int:
        """Read one cell; 0 if it cannot be read, or is gone because the file was cut off."""
        try:
            return self.file.cell(index)
        except (ShrunkError, OSError):
            return 0

    @property
    def head(self) -> int:
        """Return where the journal ends; raises `ShrunkError`, `OSError` if that cannot be known."""
        return self.file.cell(JOURNAL_HEAD)

    def fill(self) -> float:
        """Return which part of the journal's space is taken by what is not committed, from 0 to 1."""
        waiting = self.cell(JOURNAL_HEAD) - self.cell(JOURNAL_RELEASED)
        return max(0, waiting) / self.file.header.ring_size

    def suspect(self, start: int) -> Suspect | None:
        """Return which frame at or after ``start`` has ended a reader since the worker died."""
        number = self.cell(FAILED_READINGS) if self._suspect is None else self._suspect
        return unpack_suspect(number, start)

    def note_suspect(self, suspect: Suspect | None) -> None:
        """Note another one, in the file itself: the next start of the service must know. Raises `OSError`.

        This object knows it in any case.
        """
        self._suspect = pack_suspect(suspect)
        # The file may have been deleted.
        descriptor = os.open(f"/proc/self/fd/{self.file.fileno()}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            number = self._suspect.to_bytes(CELL_SIZE, "little")
            os.pwrite(descriptor, number, self.file.header.cells_at + FAILED_READINGS * CELL_SIZE)
        finally:
            os.close(descriptor)

    def counts(self) -> LedgerCounts:
        """Read the cells of the listeners, without those at 0. It is what was read last as long as nothing has changed.

        So it is with a file that cannot be read, or is damaged: no total may fall. Everything else is read before the
        accepted connections are, so that no more were closed than accepted.
        """
        try:
            cells, later = self.file.cells(), self.file.cells()
        except (ShrunkError, OSError):
            return self._counts
        for place in self._accepted:
            cells[place] = later[place]
        numbers = cells[self._first :]
        if max(numbers, default=0) > MOST_COUNT:
            self._is_damaged = True
        elif numbers != self._numbers:
            self._numbers = numbers
            values = {name: number for name, number in zip(self._names, numbers, strict=True) if number}
            self._counts = LedgerCounts(self.ledger_id, self.worker, self.file.boot_id, values)
        return self._counts

    def check(self) -> Fault | None:
        """Return what has become of the file, if that was not reported yet."""
        try:
            fault = self._fault()
        except OSError:
            # A disk or a server that does not answer now. What reads the file next finds out.
            return None
        if fault is None or fault in self.faults:
            return None
        self.faults.add(fault)
        return fault

    def _fault(self) -> Fault | None:
        if self.file.is_shrunk():
            return "shrunk"
        if self._is_damaged and "counters" not in self.faults:
            return "counters"
        return None if self.file.is_at(self.path) else "missing"


class LedgerFolder:
    """The ledgers in ``folder``. Used from the reactor's thread, except for `Ledger.head` of retired ones."""

    _log = Logger()

    def __init__(self, folder: Path, proc: Path = Path("/proc"), wall: Callable[[], int] = time.time_ns) -> None:
        """Use a folder that exists, and that no other process uses; ``wall`` returns nanoseconds since 1970."""
        self._folder = folder
        self._wall = wall
        self._boot_id = read_boot_id(proc)
        self.ledgers: dict[str, Ledger] = {}
        self._orphans: list[Ledger] = []
        self.unreadable: set[str] = set()
        """The ids of ledgers that cannot be opened for now, and stay for the next start."""
        self.set_aside = sum(1 for path in folder.iterdir() if path.suffix in (_ASIDE, _UNREAD))
        """The number of files that wait for the operator to inspect them."""
        self.faults: dict[Fault, int] = dict.fromkeys(_SAID, 0)
        """How many ledgers went missing, were cut off or had wrong numbers while they were open."""

    def make(self, worker: int, listeners: list[tuple[str, str]]) -> tuple[Ledger, int]:
        """Make the ledger of a new worker; return it with the descriptor, already locked, for the worker.

        Raises `OSError`, as on a full disk.
        """
        directory = Directory(ledger_cells([label for label, _ in listeners]), listeners)
        path = create_ledger(self._folder, worker, directory, created=self._wall(), boot_id=self._boot_id)
        try:
            descriptor = lock_ledger(path)
            try:
                ledger = Ledger(path)
            except (LedgerError, OSError):
                os.close(descriptor)
                raise
        except (LedgerError, OSError):
            path.unlink(missing_ok=True)
            raise
        self.ledgers[ledger.ledger_id] = ledger
        return ledger, descriptor

    def find(self) -> int:
        """Open the ledgers that an earlier run left, and return their number. One that cannot be read is set aside."""
        remove_unfinished(self._folder)
        for path in ledger_paths(self._folder):
            try:
                ledger = Ledger(path)
            except LedgerError as error:
                self._put_aside(path, _ASIDE, str(error))
            except FileNotFoundError:
                # Gone since the list was made, and for good: the store settles what it has of it.
                continue
            except OSError as error:
                self.unreadable.add(path.stem)
                why = in_words(error)
                self._log.error("a ledger of the last run cannot be read, and stays for the next: {why}", why=why)
            else:
                self.ledgers[ledger.ledger_id] = ledger
                self._orphans.append(ledger)
        return len(self._orphans)

    def claim(self, ledger_id: str) -> Ledger | None:
        """Return a ledger that was found, whose writer is not an orphan but ours; None if there is none of that id."""
        ledger = self.ledgers.get(ledger_id)
        self._orphans = [orphan for orphan in self._orphans if orphan is not ledger]
        return ledger

    def retire_orphans(self) -> int:
        """Retire those of an earlier run whose writer is gone by now; return the number of the others."""
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

    def check(self) -> None:
        """Notice which files are gone or cut off: each is said once, and counted. To be called every now and then."""
        for ledger in self.ledgers.values():
            self._notice(ledger)

    def _notice(self, ledger: Ledger) -> None:
        fault = ledger.check()
        if fault is not None:
            self.faults[fault] += 1
            self._log.error(_SAID[fault], path=ledger.path, worker=ledger.worker)

    def counts(self) -> list[LedgerCounts]:
        """Read the cells of all ledgers."""
        return [ledger.counts() for ledger in self.ledgers.values()]

    def names(self) -> set[str]:
        """Return the ids of all ledgers of which there is a file, whatever has become of it."""
        return {path.stem for path in self._folder.iterdir()}

    def give_up(self, ledger: Ledger, why: str) -> None:
        """Keep the file of a ledger that the store has taken in as far as it could; raises `OSError`."""
        del self.ledgers[ledger.ledger_id]
        self._notice(ledger)
        is_there = ledger.file.is_at(ledger.path)
        ledger.file.close()
        if is_there:
            self._put_aside(ledger.path, _UNREAD, f"{ledger.path}: {why}")
        else:
            self._log.error("{path}: {why}; there is no file to keep", path=ledger.path, why=why)

    def _put_aside(self, path: Path, suffix: str, why: str) -> None:
        aside = path.with_suffix(suffix)
        path.rename(aside)
        self.set_aside += 1
        self._log.error("{why}; it is kept as {aside}", why=why, aside=aside)

    def remove(self, ledger: Ledger) -> None:
        """Delete the file of a ledger that the store has taken in; raises `OSError` when that cannot be done."""
        self._notice(ledger)
        del self.ledgers[ledger.ledger_id]
        ledger.file.close()
        ledger.path.unlink(missing_ok=True)
