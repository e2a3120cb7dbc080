"""The store's files as they were last seen at their places: what is gone, and what has become shorter.

    totals.sqlite        grows; shrinks after a VACUUM, when its pages are moved from the log
    totals.sqlite-wal    grows; shrinks to nothing by a checkpoint that truncates it
    totals.sqlite-shm    grows only

While a connection is open SQLite puts no other file in the place of one of them, and takes none away.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple

__all__ = ["DAMAGED", "FAULTS", "LOCK_TIMEOUT", "PARTS", "Change", "Files"]

PARTS = ("", "-wal", "-shm")
"""What the names of the files have after the store's own."""

FAULTS = ("missing", "shrunk")
"""What happens to the files: one is gone or another one is in its place, or it is shorter than it must be."""

DAMAGED = "damaged"
"""What happens inside of them: a part cannot be read."""

LOCK_TIMEOUT = 1.0
"""Seconds for which a lock of another process is waited for."""


class Change(NamedTuple):
    """What has become of files: ``missing`` ones, in the place of which there may be others, and ``shrunk`` ones."""

    missing: list[Path]
    shrunk: list[Path]

    def __str__(self) -> str:
        """Return the difference in a few words."""
        said = [f"{path} was taken away" for path in self.missing] + [f"{path} was cut off" for path in self.shrunk]
        return ", ".join(said)


class Files:
    """The files of the store at ``path``, which is open."""

    def __init__(self, path: Path) -> None:
        self.paths = [path.with_name(path.name + part) for part in PARTS]
        self._seen: dict[Path, os.stat_result | None] = {}
        self.accept()

    def look(self) -> Change:
        """Compare what is there with what was seen last."""
        return self._compare(self._found())

    def note(self) -> None:
        """Note what our own writing has made of them. What is missing now is left for the next `look`."""
        found = self._found()
        if not any(self._compare(found)):
            self._seen = found

    def accept(self) -> None:
        """Take what is there for right."""
        self._seen = self._found()

    def size(self, path: Path) -> int:
        """Return how long a file of ours was when it was last seen."""
        seen = self._seen[path]
        return seen.st_size if seen is not None else 0

    def others(self) -> list[Path]:
        """Return the paths at which there is something that is not ours."""
        found = self._found()
        return [path for path in self._compare(found).missing if found[path] is not None]

    def _found(self) -> dict[Path, os.stat_result | None]:
        return {path: self._stat(path) for path in self.paths}

    def _stat(self, path: Path) -> os.stat_result | None:
        try:
            return path.lstat()
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:
            # It cannot be found out.
            return self._seen.get(path)

    def _compare(self, found: dict[Path, os.stat_result | None]) -> Change:
        change = Change([], [])
        for path, before in self._seen.items():
            now = found[path]
            if before is None:
                continue
            if now is None or not os.path.samestat(now, before):
                change.missing.append(path)
            elif now.st_size < before.st_size:
                change.shrunk.append(path)
        return change
