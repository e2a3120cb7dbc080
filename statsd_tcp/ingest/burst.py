"""Whether the accept lanes' inner loop in C (`_burst.c`) is there and wanted. Without it the same is done in Python."""

from __future__ import annotations

from collections.abc import Mapping

from statsd_tcp import crash_points

try:
    from statsd_tcp.ingest import _burst
except ImportError:
    BUILT = False
else:
    BUILT = True
    # Told where it is used, so that nobody else has to know whether it could be imported.
    accept_lines = _burst.lines
    accept_bare = _burst.bare

__all__ = ["BUILT", "VARIABLE", "is_used", "use"]

VARIABLE = "STATSCOUNTER_PURE_PYTHON"
"""Set to anything in the service's environment, it has the lanes in Python serve."""


def is_used(environ: Mapping[str, str]) -> bool:
    """Tell whether connections are taken in C. The points at which a process can be made to die are in Python only."""
    return BUILT and not environ.get(VARIABLE) and not environ.get(crash_points.VARIABLE)


def use(environ: Mapping[str, str]) -> str:
    """Say for an operator in what connections are taken, and why."""
    if is_used(environ):
        return "in C"
    if BUILT:
        return f"in Python ({VARIABLE if environ.get(VARIABLE) else crash_points.VARIABLE} is set)"
    return "in Python (the part in C was not built: it needs a C compiler and Python's headers at installation)"
