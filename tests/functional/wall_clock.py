"""A wall clock of a service's own, which a test sets while the service runs. The machine's clock is left alone."""

from __future__ import annotations

import shutil
import struct
import subprocess
import time
from pathlib import Path

import pytest

__all__ = ["WallClock"]

_SOURCE = Path(__file__).with_suffix(".c")


class WallClock:
    """The clock of all processes that have ``environ``. It is right until it is set."""

    def __init__(self, folder: Path) -> None:
        """Compile what stands in for the C library's functions; skip the test where there is no compiler."""
        if shutil.which("cc") is None:
            pytest.skip("no C compiler: apt-get install gcc libc6-dev")
        library, self._file = folder / "wall_clock.so", folder / "offset"
        subprocess.run(["cc", "-O2", "-shared", "-fPIC", "-o", library, _SOURCE], check=True)
        self._offset = 0.0
        self.step(0.0)
        self.environ = {"LD_PRELOAD": str(library), "STATSCOUNTER_TEST_CLOCK": str(self._file)}

    def step(self, seconds: float) -> None:
        """Set it ahead, or back."""
        self._offset += seconds
        with self._file.open("r+b" if self._file.exists() else "wb") as file:
            file.write(struct.pack("=q", round(self._offset * 1e9)))

    def now(self) -> float:
        """Return the time that it shows."""
        return time.time() + self._offset
