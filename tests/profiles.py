"""How many examples hypothesis tries: ``quick`` while one works, ``full`` for what is to be kept.

Neither looks at the clock: how long an example takes says something about the machine, not about the code.
"""

from __future__ import annotations

from hypothesis import HealthCheck, settings

__all__ = ["QUICK", "register"]

QUICK = 25
"""Examples of each property under ``quick``, which are the same in every run."""

FULL = 200
"""Examples under ``full``, which are others in every run."""


def register() -> None:
    """Make both known to hypothesis, and have ``quick`` hold until another is chosen."""
    timeless = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("quick", timeless, max_examples=QUICK, derandomize=True)
    settings.register_profile("full", timeless, max_examples=FULL)
    settings.load_profile("quick")
