"""DogStatsD's events and service checks: recognised so that they are never misread as samples.

::

    _e{5,4}:title|text|k:aggregation|#tag          lengths of title and text
    _sc|name|0|d:1700000000|#tag|m:message         status 0 to 3
"""

from __future__ import annotations

import re
from typing import Final, Literal

__all__ = ["EVENT", "SERVICE_CHECK", "Special", "is_special", "read_special"]

Special = Literal["", "event", "service_check"]

EVENT: Final = "event"
SERVICE_CHECK: Final = "service_check"

_PREFIXES: Final = (b"_e{", b"_sc|")
# The lengths are not compared: clients disagree on whether they count bytes or characters.
_EVENT: Final = re.compile(rb"_e\{[0-9]+,[0-9]+\}:[^|]+\|.*", re.DOTALL)
_SERVICE_CHECK: Final = re.compile(rb"_sc\|[^|]+\|[0-3](?:\|.*)?", re.DOTALL)


def is_special(line: bytes) -> bool:
    """Return whether the line begins as an event or a service check does."""
    return line.startswith(_PREFIXES)


def read_special(line: bytes) -> Special:
    """Return what a line that ``is_special`` is; the empty string if it is malformed."""
    if _EVENT.fullmatch(line):
        return EVENT
    return SERVICE_CHECK if _SERVICE_CHECK.fullmatch(line) else ""
