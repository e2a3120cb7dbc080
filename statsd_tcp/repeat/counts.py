"""What became of the lines for one target, as a worker counts it."""

from __future__ import annotations

import msgspec

__all__ = ["Repeated"]


class Repeated(msgspec.Struct, frozen=True, array_like=True):
    """What one worker has to say about one target.

    ``sent`` and ``dropped`` are lines and ``failed`` attempts, all since it was last asked; ``queued`` are the lines
    that wait now. ``error`` is why nothing can be sent, empty while all is well.
    """

    label: str
    sent: int
    failed: int
    dropped: int
    queued: int
    error: str = ""
