"""The names that a series needs on the page `/metrics`, and those that it cannot have there."""

from __future__ import annotations

from typing import NamedTuple

from statsd_tcp.mapping.names import exposition_name

__all__ = ["OBSERVED", "PARTS", "Family", "is_reserved", "shown_name", "whole_of"]

OBSERVED = frozenset(("ms", "h"))
"""The kinds of series whose values are observed one by one: timers, distributions."""

PARTS = ("_sum", "_count", "_bucket", "_created")
"""What is observed needs its name with each of these too."""

_OWN_PREFIX = "statscounter_"
# Among those that clients send: the series for all those beyond the limit, and what our client says of itself.
_SENT = ("statscounter_overflow_", "statscounter_client_")
_OWN_NAMES = frozenset(
    f"process_{name}"
    for name in (
        "cpu_seconds",
        # OpenMetrics keeps this name for each of its counters.
        "cpu_seconds_created",
        "cpu_seconds_total",
        "max_fds",
        "open_fds",
        "resident_memory_bytes",
        "start_time_seconds",
        "virtual_memory_bytes",
    )
)


class Family(NamedTuple):
    """All series of one kind that have one name on the page: its type and unit are theirs, if they own the name."""

    name: str
    kind: str

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names that it needs: its own, and those of its parts."""
        return (self.name, *(self.name + part for part in PARTS)) if self.kind in OBSERVED else (self.name,)


def shown_name(kind: str, identity: str, counter_suffix: str) -> str:
    """Return the name that a series has on the page; counters end in ``counter_suffix``."""
    name = exposition_name(identity.partition("\n")[0])
    return name + counter_suffix if kind == "c" and not name.endswith(counter_suffix) else name


def is_reserved(name: str) -> bool:
    """Return whether a name belongs to the service itself."""
    return (name.startswith(_OWN_PREFIX) and not name.startswith(_SENT)) or name in _OWN_NAMES


def whole_of(name: str) -> str:
    """Return the name of what is observed that would have this name as a part; "" if it cannot be one."""
    return next(name.removesuffix(part) for part in PARTS if name.endswith(part)) if name.endswith(PARTS) else ""
