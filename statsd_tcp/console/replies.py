"""The texts of the console's replies, as etsy's server writes them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from statsd_tcp.store.search import Deletion
from statsd_tcp.wire.notation import as_text

__all__ = ["END", "HELP", "UNKNOWN", "as_json", "deleted", "dump", "failure", "health", "lines", "pairs", "series_dump"]

END = "END\n\n"

HELP = (
    "Commands: stats, counters, timers, gauges, sets, delcounters, deltimers, delgauges, health, workers, badlines, "
    "conflicts, config, who, quit\n\n"
)

UNKNOWN = "ERROR\n"
"""The reply to a command that there is not."""


def pairs(rows: Iterable[tuple[str, object]]) -> str:
    """Write a name and its value on each line."""
    return "".join(f"{name}: {value}\n" for name, value in rows)


def lines(rows: Iterable[str]) -> str:
    """Write lines, and the end."""
    return "".join(f"{row}\n" for row in rows) + END


def as_json(found: list[Any]) -> bytes:
    """Write JSON for people as well."""
    return msgspec.json.format(msgspec.json.encode(found), indent=2)


def dump(text: bytes) -> bytes:
    """Append the end to what `as_json` wrote."""
    return b"%b\n%b" % (text, END.encode())


def series_dump(found: Iterable[tuple[str, Any]]) -> bytes:
    """Write series as JSON, each in a line of its own, and the end: scripts count and search them as etsy's server's.

    Of a million that takes about a second.
    """
    encode = msgspec.json.Encoder().encode
    lines = b",\n".join([b"  %b: %b" % (encode(name), encode(value)) for name, value in found])
    return dump(b"{\n%b\n}" % lines if lines else b"{}")


def deleted(deletions: Iterable[Deletion]) -> str:
    """Return the reply that names what was deleted for each pattern."""
    lines = []
    for pattern, identities in deletions:
        lines += [f"deleted: {as_text(identity)}\n" for identity in identities]
        if not identities:
            lines.append(f"metric {pattern} not found\n")
    return "".join(lines) + END


def health(up: bool) -> str:
    """Return the health that the operator has set, in words."""
    return f"health: {'up' if up else 'down'}\n"


def failure(why: str) -> str:
    """Return the reply to a known command that could not be carried out."""
    return f"ERROR: {' '.join(why.split())}\n"
