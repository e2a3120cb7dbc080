"""How long tests wait for what must come."""

from __future__ import annotations

__all__ = ["PATIENCE"]

PATIENCE = 120.0
"""Seconds until a wait gives up: the machine may be busy with other tests, and no test is about speed."""
