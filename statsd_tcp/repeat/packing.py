"""Lines put into datagrams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

__all__ = ["LARGEST_DATAGRAM", "cut"]

LARGEST_DATAGRAM: Final = 1432
"""Bytes that pass an Ethernet undivided, with the headers of IPv6 and room for those of a tunnel. StatsD's clients
count on the same number."""


def cut(lines: bytes, size: int = LARGEST_DATAGRAM) -> Iterator[bytes]:
    r"""Give datagrams of as many whole lines as ``size`` bytes hold.

    Each of ``lines`` ends in a newline. The last newline of a datagram is left out: some servers would take the nothing
    behind it for an empty, bad line. A line that is longer than ``size`` goes alone.
    """
    start, end = 0, len(lines)
    while start < end:
        if end - start <= size + 1:
            stop = end - 1
        else:
            stop = lines.rfind(b"\n", start, start + size + 1)
            if stop < 0:
                stop = lines.index(b"\n", start)
        yield lines[start:stop]
        start = stop + 1
