"""One name, one unit: a name belongs to the timers (``ms``) or to the distributions, who came first."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["UnitClaims", "Units"]


class Units:
    """The names of the series that exist, with the kind that has each and how many series it is in."""

    def __init__(self) -> None:
        self.owners: dict[str, str] = {}
        self._holders: dict[str, int] = {}

    def hold(self, kind: str, identities: Iterable[str]) -> None:
        """Note series that exist now, so that their names stay with that kind."""
        for name in map(_name_of, identities):
            self.owners[name] = kind
            self._holders[name] = self._holders.get(name, 0) + 1

    def release(self, identities: Iterable[str]) -> None:
        """Note that series are gone; a name without any is free again."""
        for name in map(_name_of, identities):
            self._holders[name] -= 1
            if not self._holders[name]:
                del self._holders[name], self.owners[name]


class UnitClaims:
    """The names claimed while one commit is planned; they count only once the commit has them hold."""

    def __init__(self, units: Units) -> None:
        self._units = units
        self._fresh: dict[str, str] = {}

    def claim(self, kind: str, identity: str) -> bool:
        """Tell whether a new series of that kind may have its name; the first that asks has it."""
        name = _name_of(identity)
        owner = self._units.owners.get(name)
        return (self._fresh.setdefault(name, kind) if owner is None else owner) == kind


def _name_of(identity: str) -> str:
    return identity.partition("\n")[0]
