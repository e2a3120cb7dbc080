"""A disk that hangs when a test says so, for the processes of one service. The machine's disk is left alone."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["HangingDisk"]

_SOURCE = Path(__file__).with_suffix(".c")


class HangingDisk:
    """The disk of all processes that have ``environ``: to write to it for certain takes as long as `hangs` lasts."""

    def __init__(self, folder: Path) -> None:
        """Compile what stands in for the C library's functions; skip the test where there is no compiler."""
        if shutil.which("cc") is None:
            pytest.skip("no C compiler: apt-get install gcc libc6-dev")
        library, self._file = folder / "hanging_disk.so", folder / "hang"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, _SOURCE, "-ldl"], check=True)
        self.environ = {"LD_PRELOAD": str(library), "STATSCOUNTER_TEST_HANG": str(self._file)}

    @contextmanager
    def hangs(self) -> Iterator[None]:
        """Have it hang."""
        self._file.touch()
        try:
            yield
        finally:
            self._file.unlink()
