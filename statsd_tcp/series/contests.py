"""Names on the page `/metrics` that several families want, found among the series that are new.

All series are looked at once, and again only to find those of families that have come into conflict. What is
remembered of a name is its hash and the kinds that have it, in about 100 bytes.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import chain

from statsd_tcp.mapping.shown import OBSERVED, PARTS, Family, is_reserved, shown_name, whole_of
from statsd_tcp.series.columns import SeriesColumns
from statsd_tcp.series.owners import Candidate, Owner

__all__ = ["MOST_NAMES", "Contests"]

MOST_NAMES = 2_000
"""Names for which several families are considered: clients choose how many there are. Others stay with the first."""

_STALE = 10_000
"""Names of which no series is left that may be remembered, besides one for each series that there is."""


class Contests:
    """What is known of all names; ``owners`` are the ones that were decided before."""

    def __init__(self, columns: Sequence[SeriesColumns], counter_suffix: str, owners: Mapping[str, Owner]) -> None:
        self._columns = columns
        self._suffix = counter_suffix
        self._bits = {each.kind: 1 << number for number, each in enumerate(columns)}
        self._observed = sum(self._bits[kind] for kind in OBSERVED)
        # The kinds of each name, as bits, by its hash. Of two names with one hash more families are looked for in vain.
        self._kinds: dict[int, int] = {}
        self._found: set[str] = set()
        self._looked_at: list[int] = []
        self._members: dict[Family, array[int]] = {}
        self._begin(owners)

    def look(self, most: int) -> bool:
        """Look at up to ``most`` of the series that were not looked at yet; return whether those were all."""
        if len(self._kinds) > sum(map(len, self._columns)) + _STALE:
            self._kinds.clear()
            self._begin(self._wanted)
        for number, columns in enumerate(self._columns):
            ids, identities = columns.newer_than(self._looked_at[number], most)
            if ids:
                self._take(columns.kind, ids, identities)
                self._looked_at[number] = ids[-1]
                most -= len(ids)
        return most > 0

    def candidates(self) -> list[Candidate]:
        """Return the families that want names which others want too, as they are now."""
        found = []
        for family, ids in list(self._members.items()):
            columns = next(each for each in self._columns if each.kind == family.kind)
            self._members[family], updated, lasting = columns.standing(ids)
            if self._members[family]:
                born = self._members[family][0]
                found.append(Candidate(family, born, updated, lasting, columns.identity_of(born)))
            else:
                del self._members[family]
        return found

    def settle(self, candidates: Sequence[Candidate], owners: Collection[str]) -> bool:
        """Go on with the names that are still wanted by several, or have owners; return whether there are new ones.

        If so all series must be looked at again. ``candidates`` are all that there are now.
        """
        self._forget_others({each.family for each in candidates})
        times = Counter(chain.from_iterable(each.family.names for each in candidates))
        wanted = {name for name, number in times.items() if number > 1}.union(owners, self._found)
        if self._found:
            self._found = set()
            self._begin(wanted)
            return True
        self._want(wanted)
        self._members = {family: ids for family, ids in self._members.items() if not wanted.isdisjoint(family.names)}
        return False

    def _forget_others(self, present: Collection[Family]) -> None:
        """Forget kinds of the names that were looked for, of which nothing is left: it will be new when it comes."""
        for name in self._families:
            for kind, bit in self._bits.items():
                family = Family(name, kind)
                if family not in present and not self._wanted.isdisjoint(family.names):
                    self._kinds[hash(name)] = self._kinds.get(hash(name), 0) & ~bit

    def _begin(self, wanted: Iterable[str]) -> None:
        """Look at all series again, for the families that want these names."""
        self._looked_at = [0] * len(self._columns)
        self._members = {}
        self._want(wanted)

    def _want(self, wanted: Iterable[str]) -> None:
        self._wanted = set(wanted)
        self._families = self._wanted.union(filter(None, map(whole_of, self._wanted)))

    def _take(self, kind: str, ids: Iterable[int], identities: Iterable[str]) -> None:
        kinds, bit, suffix, families = self._kinds, self._bits[kind], self._suffix, self._families
        needs_parts = kind in OBSERVED
        for series_id, identity in zip(ids, identities, strict=True):
            name = shown_name(kind, identity, suffix)
            key = hash(name)
            others = kinds.get(key, 0)
            if not others & bit:
                if is_reserved(name):
                    continue
                kinds[key] = others | bit
                if others or needs_parts or name.endswith(PARTS):
                    self._meet(name, kind, others)
            if name in families:
                self._gather(Family(name, kind), series_id)

    def _meet(self, name: str, kind: str, others: int) -> None:
        """Note the names that a new family wants and that others have."""
        found = {name} if others or self._kinds.get(hash(whole_of(name)), 0) & self._observed else set()
        if kind in OBSERVED:
            found.update(name + part for part in PARTS if hash(name + part) in self._kinds)
        if len(self._wanted) + len(self._found) < MOST_NAMES:
            self._found |= found - self._wanted

    def _gather(self, family: Family, series_id: int) -> None:
        if not self._wanted.isdisjoint(family.names):
            self._members.setdefault(family, array("q")).append(series_id)
