"""The shapes met so far: a bounded memory that outlives intervals.

Two generations: what was met lately, and what was met before that. When the young one is full it becomes
the old one, and what is asked for again moves back. A flood of shapes that never return thus costs only
itself, and nothing has to be kept in order.
"""

from __future__ import annotations

from typing import Final

from statsd_tcp.wire.grammar import Grammar
from statsd_tcp.wire.shape import Shape, read_shape

__all__ = ["GENERATION_BYTES", "Key", "ShapeMemo"]

Key = tuple[bytes, bytes]
"""The head and the suffix of a line."""

GENERATION_BYTES: Final = 16 << 20
"""About how much memory one generation may take."""

# Measured: the key's tuple and two bytes objects, the shape, the identity's string and the place in the
# dictionary, all empty.
_ENTRY_BYTES: Final = 400
_SAMPLE_BYTES: Final = 120

_LARGE: Final = 8
"""What takes more than one part in this many of a generation is not worth remembering."""


class ShapeMemo:
    """The shapes of one grammar. ``young`` may be looked up directly; ``learn`` takes what is not in it."""

    __slots__ = ("_bytes", "_limit", "_old", "grammar", "young")

    def __init__(self, grammar: Grammar, limit: int = GENERATION_BYTES) -> None:
        """``limit``: about how many bytes of memory each of the two generations may take."""
        self.grammar = grammar
        self.young: dict[Key, Shape] = {}
        self._old: dict[Key, Shape] = {}
        self._bytes = 0
        self._limit = limit

    def learn(self, key: Key) -> Shape:
        """Return the shape of a key that is not in ``young``, and put it there unless it is very large.

        ``young`` may be replaced.
        """
        shape = self._old.get(key)
        if shape is None:
            shape = read_shape(*key, self.grammar)
        size = _size(key, shape)
        if size > self._limit // _LARGE:
            return shape
        if self._bytes > self._limit:
            self._old, self.young, self._bytes = self.young, {}, 0
        self.young[key] = shape
        self._bytes += size
        return shape

    def forget(self, key: Key) -> None:
        """Forget the shape of a key, if it is in ``young``."""
        shape = self.young.pop(key, None)
        if shape is not None:
            self._bytes -= _size(key, shape)


def _size(key: Key, shape: Shape) -> int:
    # The key's bytes are there twice: in the key and, decoded, in the identity.
    return _ENTRY_BYTES + 2 * (len(key[0]) + len(key[1])) + _SAMPLE_BYTES * len(shape.more)
