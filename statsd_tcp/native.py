"""Whether the parts in C serve. Without them the same is done in Python.

`ingest/_burst.c` is the accept lanes' innermost loop, `aggregate/_sums.c` that of the tally. Each is imported where it
is used. Here both are asked about at once, because they serve together or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping

from statsd_tcp import crash_points
from statsd_tcp.aggregate import sums
from statsd_tcp.ingest import native_lanes

__all__ = ["BUILT", "VARIABLE", "is_used", "use"]

BUILT = sums.BUILT and native_lanes.BUILT

VARIABLE = "STATSCOUNTER_PURE_PYTHON"
"""Set to anything in the service's environment, it has the code in Python serve."""


def is_used(environ: Mapping[str, str]) -> bool:
    """Return whether the parts in C serve. The points at which a process can be made to die are in Python only."""
    return BUILT and not environ.get(VARIABLE) and not environ.get(crash_points.VARIABLE)


def use(environ: Mapping[str, str]) -> str:
    """Return for an operator in which language connections are taken, and why."""
    if is_used(environ):
        return "in C"
    if BUILT:
        return f"in Python ({VARIABLE if environ.get(VARIABLE) else crash_points.VARIABLE} is set)"
    return "in Python (the parts in C were not built: that needs a C compiler and Python's headers at installation)"
