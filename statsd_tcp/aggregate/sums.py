"""What is added up of lines before the digest sees them, by a part that need not be there (`_sums.c`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from statsd_tcp.wire.memo import Key
from statsd_tcp.wire.shape import Shape

_VERSION = 3

try:
    from statsd_tcp.aggregate import _sums
except ImportError:
    BUILT = False
else:
    # A checkout may be newer than what was compiled of it.
    BUILT = _sums.VERSION == _VERSION

__all__ = ["BUILT", "NewSums", "Sums", "new_sums"]

KNOWN_SHAPES = 1 << 16
"""The most shapes of lines that are known in C, with 256 bytes of names for each; the rest is read in Python. Each
takes some 200 bytes and its name two or three times. When there is no room the shapes that were not seen lately are
forgotten."""


class Sums(Protocol):
    """The lines of known shapes with one plain number."""

    @property
    def collected(self) -> int:
        """Return what taking everything costs, in timer values that take equally long."""

    @property
    def known(self) -> int:
        """Return the number of known shapes."""

    def add(self, chunk: bytes, /) -> list[bytes]:
        """Add the lines of a chunk that are known, and return the others."""

    def learn(self, lines: dict[bytes, int], shapes: dict[Key, Shape], /) -> None:
        """Learn the shapes of these lines, as far as there is room and they are in ``shapes``."""

    def take(self) -> tuple[int, list[tuple[Shape, float, int]], list[tuple[Shape, bytes]]]:
        """Return what was added since the last time.

        How many lines, what was added to each counter and by how many of them, and the values of each timer, packed. A
        shape's rate is applied to the sum, and not to the values. A counter may come several times, with numbers that
        have exactly its sum; the lines are counted with the first.
        """


NewSums = Callable[[], Sums]
"""Makes the sums of one listener."""


def new_sums(seed: int, known: int = KNOWN_SHAPES) -> Sums:
    """Make the sums of one listener in C, which must have been built.

    ``seed``, of 64 bits, is to differ each time, so that names that collide in one table do not collide in the next.
    """
    return _sums.Sums(known, seed)
