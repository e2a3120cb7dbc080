"""Whether the parts in C are there and wanted. Without them the same is done in Python.

`ingest/_burst.c` is the accept lanes' innermost loop, `aggregate/_sums.c` that of the tally. They are told here, where
they could be imported, so that nobody else has to know whether they could.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from statsd_tcp import crash_points

try:
    from statsd_tcp.aggregate import _sums
    from statsd_tcp.ingest import _burst
except ImportError:
    BUILT = False
else:
    # A checkout may be newer than what was compiled of it.
    BUILT = _burst.VERSION == _sums.VERSION == 1
    accept_lines = _burst.lines
    accept_bare = _burst.bare
    read_datagrams = _burst.datagrams

if TYPE_CHECKING:
    from statsd_tcp.aggregate.sums import Sums

__all__ = ["BUILT", "VARIABLE", "is_used", "new_sums", "use"]

VARIABLE = "STATSCOUNTER_PURE_PYTHON"
"""Set to anything in the service's environment, it has the code in Python serve."""

KNOWN_SHAPES = 1 << 16
"""So many shapes of lines are known in C at most, with 256 bytes of names for each; the rest is read in Python. Each
takes some 200 bytes and its name two or three times. When there is no room those that came not lately are forgotten."""


def new_sums(known: int = KNOWN_SHAPES) -> Sums:
    """Make the sums of one listener. The seed differs, so that what meets in one table doesn't in the next."""
    return _sums.Sums(known, int.from_bytes(os.urandom(8), "little"))


def is_used(environ: Mapping[str, str]) -> bool:
    """Tell whether the parts in C serve. The points at which a process can be made to die are in Python only."""
    return BUILT and not environ.get(VARIABLE) and not environ.get(crash_points.VARIABLE)


def use(environ: Mapping[str, str]) -> str:
    """Say for an operator in what connections are taken, and why."""
    if is_used(environ):
        return "in C"
    if BUILT:
        return f"in Python ({VARIABLE if environ.get(VARIABLE) else crash_points.VARIABLE} is set)"
    return "in Python (the parts in C were not built: that needs a C compiler and Python's headers at installation)"
