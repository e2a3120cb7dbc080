r"""Points as carbon reads them: lines of text, or lists in Python's pickle format with their length before them.

stats.hits 12.5 1700000010\n
| length, 4 bytes | pickle of [(path, (time, value)), ...] |
"""

from __future__ import annotations

import pickle  # written here, and read by nobody of ours
import struct
from collections.abc import Iterator
from itertools import islice

from statsd_tcp.outputs.graphite_names import Point

__all__ = ["as_pickles", "as_text"]

_LINES = 500
"""Points in one chunk: less than a millisecond's work, and a pickle far below the megabyte that carbon takes."""

_EXACT = 1e15
"""Whole numbers up to that are written without a point, as etsy's server writes them."""


def as_text(points: Iterator[Point], timestamp: int) -> Iterator[bytes]:
    """Write points as lines, in chunks."""
    tail = f" {timestamp}\n"
    while chunk := list(islice(points, _LINES)):
        yield "".join([f"{path} {_number(value)}{tail}" for path, value in chunk]).encode()


def as_pickles(points: Iterator[Point], timestamp: int) -> Iterator[bytes]:
    """Write points as pickles, in chunks."""
    while chunk := list(islice(points, _LINES)):
        payload = pickle.dumps([(path, (timestamp, value)) for path, value in chunk], protocol=2)
        yield struct.pack("!L", len(payload)) + payload


def _number(value: float) -> str:
    if value == int(value) and abs(value) < _EXACT:
        return str(int(value))
    return repr(value)
