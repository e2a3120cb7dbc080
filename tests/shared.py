"""What is dear to make and needed by many tests: made by one of the processes that run them, for all."""

from __future__ import annotations

import fcntl
import shutil
from collections.abc import Callable
from pathlib import Path

__all__ = ["Shared"]


class Shared:
    """Folders under ``root``, which all processes of one run have in common."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def folder(self, name: str, fill: Callable[[Path], object]) -> Path:
        """Return a folder that was filled by the first process; the others wait. If that fails the next one tries."""
        folder, stamp = self._root / name, self._root / f"{name}.filled"
        with (self._root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not stamp.exists():
                # What one that failed has left.
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                fill(folder)
                stamp.touch()
        return folder
