"""The connections to the console, and to the pages: so few that the supervisor keeps descriptors for its own needs.

Those that do nothing must not keep others out: when there are too many, the one that has idled longest goes.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Guest", "Guests"]


class Guest(Protocol):
    """A connection. ``busy`` tells whether something is being done for it just now."""

    @property
    def busy(self) -> bool:
        """Tell."""

    def evict(self) -> None:
        """End the connection at once."""


class Guests:
    """Knows the connections in the order in which each was last heard of; there are ``most`` of them at most."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._order: dict[Guest, None] = {}

    def __len__(self) -> int:
        """Count them."""
        return len(self._order)

    def enter(self, guest: Guest) -> bool:
        """Take one in; return whether another had to go for it: the longest idle one, or busy one if all are."""
        full = len(self._order) >= self._most
        if full:
            victim = next((one for one in self._order if not one.busy), next(iter(self._order)))
            self.leave(victim)
            victim.evict()
        self._order[guest] = None
        return full

    def heard(self, guest: Guest) -> None:
        """Note that one has said something."""
        if guest in self._order:
            del self._order[guest]
            self._order[guest] = None

    def leave(self, guest: Guest) -> None:
        """Forget one that is gone."""
        self._order.pop(guest, None)
