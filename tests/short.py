"""Folders for sockets: an address has room for a path of 107 bytes."""

from __future__ import annotations

import tempfile
from pathlib import Path

__all__ = ["make_short_folder"]

_LONGEST = 40
"""Bytes that the path of the place for temporary files may have."""


def make_short_folder() -> Path:
    """Make an empty folder with a short path, wherever temporary files are kept. Who asks for it removes it."""
    usual = tempfile.gettempdir()
    return Path(tempfile.mkdtemp(prefix="statscounter-", dir=usual if len(usual) <= _LONGEST else "/tmp"))
