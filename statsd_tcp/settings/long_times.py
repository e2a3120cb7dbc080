"""Times that were probably meant in milliseconds, as those of etsy's configuration are.

They can be meant as they are, so they are said and not refused.
"""

from __future__ import annotations

from collections.abc import Iterator

from statsd_tcp.settings.options import OPTIONS
from statsd_tcp.settings.settings import Settings
from statsd_tcp.words import span

__all__ = ["long_times"]


def long_times(settings: Settings) -> Iterator[tuple[str, str]]:
    """Yield the name of each option whose time is unusually long, and the warning about it."""
    for option in OPTIONS:
        value = getattr(settings, option.field)
        if isinstance(value, int | float) and value > option.usual:
            yield option.name, f"{value:,.0f} seconds, {span(value)}: times here are in seconds, etsy's in milliseconds"
