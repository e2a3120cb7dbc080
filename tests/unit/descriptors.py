"""Which descriptors this process has open."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import NamedTuple

__all__ = ["Open", "open_here"]

HERE = Path("/proc/self/fd")


class Open(NamedTuple):
    """A descriptor's number, and what it is open on."""

    number: str
    target: str


def open_here() -> frozenset[Open]:
    """Return the open descriptors, without those of what is only garbage by now.

    A test looks at what came meanwhile. What went may be anything that an earlier test has left behind.
    """
    gc.collect()
    found = set[Open]()
    for entry in list(HERE.iterdir()):
        try:
            found.add(Open(entry.name, str(entry.readlink())))
        except FileNotFoundError:
            # That of the listing itself is closed by now.
            continue
    return frozenset(found)
