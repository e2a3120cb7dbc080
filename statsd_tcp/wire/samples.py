"""What a line says: samples of six kinds."""

from __future__ import annotations

from typing import Final, Literal, get_args

import msgspec

__all__ = ["GAUGE_MARK", "KINDS", "KIND_OF", "SPACE", "SPACED_MARK", "Kind", "Sample"]

Kind = Literal["c", "g", "ms", "h", "d", "s"]
"""Counter, gauge, time in milliseconds, histogram, distribution, set: as written in a line."""

KINDS: Final[tuple[Kind, ...]] = get_args(Kind)

KIND_OF: Final[dict[bytes, Kind]] = {kind.encode(): kind for kind in KINDS}

GAUGE_MARK: Final = b"|g"
"""In every line with a gauge, and in few others, unless it has `SPACED_MARK`: the type comes right after a bar.

Look for it by ``find``. For "in" bytes first try whether they are asked for a number, and raise, and catch: ten times
this.
"""


SPACED_MARK: Final = b"| "
"""In every other line with a gauge, and in hardly any other: spaces may stand between the bar and the type."""

SPACE: Final = b" "
"""In every line that has `SPACED_MARK`. A single byte is looked for much faster, and most lines have none."""


class Sample(msgspec.Struct, frozen=True, gc=False):
    """One measurement of the series with this identity.

    ``value`` is a member (str) for sets, else a number; for counters it is what the sample adds, already
    divided by its rate. ``weight`` is how many events the sample stands for (1/rate; 1 for gauges and
    sets). ``relative``: the value changes the gauge instead of setting it.
    """

    kind: Kind
    series: str
    value: float | str
    weight: float = 1.0
    relative: bool = False
