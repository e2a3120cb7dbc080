"""How long tests wait for what must come."""

from __future__ import annotations

__all__ = ["LONG_PATIENCE", "PATIENCE"]

PATIENCE = 120.0
"""Seconds until a wait gives up: the machine may be busy with other tests, and no test is about speed."""

LONG_PATIENCE = 600.0
"""The same for a service that is hurt while it works, which waits for a disk that is full or hangs, too."""
