"""What the supervisor and a worker's process know of each other without a word: descriptors and exit statuses."""

from __future__ import annotations

__all__ = ["CANNOT_BOOT", "CHANNEL_DESCRIPTOR", "FAILED", "FIRST_SOCKET", "LEDGER_DESCRIPTOR"]

CHANNEL_DESCRIPTOR = 3
LEDGER_DESCRIPTOR = 4

FIRST_SOCKET = 5
"""The worker's first listening socket; the others follow."""

CANNOT_BOOT = 3
"""Exit status of a worker that never accepted anything: trying again would not help."""

FAILED = 70
"""Exit status of a worker that had to stop because of a fault of the program (EX_SOFTWARE)."""
