"""Trees of /proc and /sys, made by hand."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

__all__ = ["TreeTestCase"]


class TreeTestCase(SynchronousTestCase):
    """A test with a folder that stands for /proc, and one for /sys."""

    def setUp(self) -> None:
        """Make the folders."""
        folder = TemporaryDirectory(prefix="statscounter-")
        self.addCleanup(folder.cleanup)
        self.proc, self.sys = Path(folder.name) / "proc", Path(folder.name) / "sys"
        self.proc.mkdir()
        self.sys.mkdir()

    def write(self, file: Path, text: str) -> None:
        """Write a file with the folders above it."""
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
