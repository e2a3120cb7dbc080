"""The first series of each family, and of each line that several may share, found by what they are called.

Of names and lines only hashes are kept; the rest is read from the series.
"""

from __future__ import annotations

from collections.abc import Sequence

from statsd_tcp.mapping.names import name_and_labels
from statsd_tcp.web.exposition_changes import Columns, Series
from statsd_tcp.web.exposition_hashes import Hashes

__all__ = ["Lookup"]

_NUMBER_BITS = 3
_NUMBERS = (1 << _NUMBER_BITS) - 1

_MOST_KNOWN = 10_000
"""Names whose families are remembered while series are entered."""


class Lookup:
    """The first series of families and lines in tables with these ``columns``, which may be replaced by later ones."""

    def __init__(self, columns: Sequence[Columns], counter_suffix: str) -> None:
        self.columns = columns
        self._suffixes = [counter_suffix if each.kind == "c" else "" for each in columns]
        self._families = Hashes()
        self._lines = Hashes()
        self._known: dict[str, Series] = {}

    def spell(self, series: Series, columns: Sequence[Columns] | None = None) -> tuple[str, str]:
        """Return the name and the labels of a series, which may be one of other columns."""
        identities = (columns or self.columns)[series.number].identities
        name, labels = name_and_labels(identities[series.position])
        suffix = self._suffixes[series.number]
        return (name, labels) if name.endswith(suffix) else (name + suffix, labels)

    def series(self, number: int, position: int) -> Series:
        """Return the series at a position."""
        return Series(self.columns[number].ids[position], number, position)

    def family(self, name: str) -> Series | None:
        """Return the first series of the family with a name."""
        known = self._known.get(name)
        if known is not None:
            return known
        for code in self._families.get(name):
            known = self._at(code)
            if self.spell(known)[0] == name:
                if len(self._known) >= _MOST_KNOWN:
                    self._known.clear()
                self._known[name] = known
                return known
        return None

    def line(self, name: str, labels: str) -> Series | None:
        """Return the first series of a line."""
        for code in self._lines.get(name + labels):
            series = self._at(code)
            if self.spell(series) == (name, labels):
                return series
        first = None if labels else self.family(name)
        return first if first and self.spell(first) == (name, "") else None

    def add_family(self, name: str, first: Series) -> None:
        """Enter the first series of a family."""
        self._families.add(name, _code(first))

    def remove_family(self, name: str, first: Series) -> None:
        """Forget the first series of a family."""
        self._known.pop(name, None)
        self._families.discard(name, _code(first))

    def add_line(self, name: str, labels: str, first: Series) -> None:
        """Enter the first series of a line. That of a family needs it only if it has labels."""
        self._lines.add(name + labels, _code(first))

    def remove_line(self, name: str, labels: str, first: Series) -> None:
        """Forget the first series of a line."""
        self._lines.discard(name + labels, _code(first))

    def _at(self, code: int) -> Series:
        return self.series(code & _NUMBERS, code >> _NUMBER_BITS)


def _code(series: Series) -> int:
    return series.position << _NUMBER_BITS | series.number
