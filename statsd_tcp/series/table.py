"""The series of one kind as a snapshot has them: what any thread may read, without numpy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import msgspec

from statsd_tcp.series.traits import Traits

__all__ = ["SeriesTable"]


class SeriesTable(msgspec.Struct, frozen=True):
    """All series of one kind, in columns; some positions may be empty, with the id 0.

    ``identities`` is shared with later snapshots and may be longer: its first ``len(values)`` entries belong to this
    one. A position means the same series as long as ``epoch`` is the same. ``ids`` grow in the order in which series
    first came; one is never used again. ``empty`` is the number of positions without a series.

    ``values`` are the total of a counter, the value of a gauge, the sum of the observations of a timer
    (milliseconds) or distribution, the number of members of a set; ``weights`` the number of those observations (a
    gauge's is the tick of its last setting, below zero if that was before the start). ``traits``, by id, are those of
    the series that are not plain; ``layout_version`` is another number whenever traits change more than numbers do.
    """

    kind: str
    epoch: int
    ids: Sequence[int]
    identities: Sequence[str]
    values: Sequence[float]
    weights: Sequence[float]
    traits: Mapping[int, Traits] = {}
    layout_version: int = 0
    empty: int = 0

    def __len__(self) -> int:
        """Count the series."""
        return len(self.values) - self.empty

    def items(self) -> Iterator[tuple[str, float]]:
        """Yield each series' identity with its value."""
        for series_id, identity, value in zip(self.ids, self.identities, self.values, strict=False):
            if series_id:
                yield identity, value
