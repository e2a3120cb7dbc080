"""What this machine is called, as far as that can be said without asking a name server.

A name server may be slow. And its answers cannot be trusted: on a foreign network it belongs to others, and names are
compared with ours to detect names that others have pointed here.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

__all__ = ["own_names"]


def own_names(etc: Path = Path("/etc"), name: str = "") -> set[str]:
    """Return the machine's name, with the domains that ``resolv.conf`` searches, and its other names in ``hosts``.

    All in small letters. ``name`` is the kernel's unless it is given.
    """
    name = (name or socket.gethostname()).lower()
    short = name.partition(".")[0]
    names = {name, short}
    for _, *words in _rows(etc / "hosts"):
        if not names.isdisjoint(words):
            names.update(words)
    for key, *words in _rows(etc / "resolv.conf"):
        if key in ("search", "domain"):
            names.update(f"{short}.{domain.rstrip('.')}" for domain in words)
    return names


def _rows(path: Path) -> Iterator[list[str]]:
    try:
        text = path.read_text(errors="replace")
    except OSError:
        return
    for line in text.lower().splitlines():
        words = line.partition("#")[0].split()
        if words:
            yield words
