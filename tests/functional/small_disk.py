"""A file system with room for little, and how to leave none on it."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

__all__ = ["fill", "mount", "unmount"]


def mount(folder: Path, size: int) -> bool:
    """Mount one of ``size`` bytes on an empty folder, and return whether that is allowed here."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "statscounter-test", str(folder)]
    return os.geteuid() == 0 and subprocess.run(command, check=False, capture_output=True).returncode == 0


def unmount(folder: Path) -> None:
    """Take it away, whatever is open on it."""
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(folder: Path) -> Path:
    """Leave no room at all on a file system, also if others take some meanwhile; return the file to delete for room."""
    ballast, filled = folder / "ballast", 0
    with ballast.open("wb") as file:
        while room := _room(folder):
            try:
                os.posix_fallocate(file.fileno(), filled, room)
                filled += room
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
    return ballast


def _room(folder: Path) -> int:
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
