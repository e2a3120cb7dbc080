"""What surrounds the service, and can be made to go wrong: its backend, its clock and its disk."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.functional.hanging_disk import HangingDisk
from tests.functional.small_disk import mount, unmount
from tests.functional.wall_clock import WallClock
from tests.torture.backend import Backend

__all__ = ["World"]

DISK = 256 << 20
"""Bytes. Room for the ledgers of some workers that start, some that leave and some that are dead, and for the store."""


class World:
    """Made for one run in ``folder``. ``clock``, ``hanging`` and ``disk`` are None where they cannot be had."""

    def __init__(self, folder: Path) -> None:
        self.backend = Backend()
        self.clock: WallClock | None = None
        self.hanging: HangingDisk | None = None
        self.disk: Path | None = folder / "disk"
        self.disk.mkdir()
        if not mount(self.disk, DISK):
            print("no full disk: nothing can be mounted here")  # noqa: T201
            self.disk = None
        if shutil.which("cc"):
            self.clock, self.hanging = WallClock(folder), HangingDisk(folder)
        else:
            print("no clock that is set, no disk that hangs: there is no C compiler")  # noqa: T201

    @property
    def environ(self) -> dict[str, str]:
        """Return the environment of the processes that live in this world."""
        parts = [part.environ for part in (self.clock, self.hanging) if part]
        libraries = ":".join(part["LD_PRELOAD"] for part in parts)
        merged = {name: value for part in parts for name, value in part.items()}
        return {**merged, "LD_PRELOAD": libraries} if libraries else {}

    def end(self) -> None:
        """Leave nothing behind."""
        if self.disk:
            unmount(self.disk)
