"""The lines of the page as numbers, in columns: ids, what stands before the numbers, and the numbers.

    hits{code="200"} 3.0        id of the series, 'hits{code="200"} ', 3.0

The service's own lines have the id 0. The quantiles of summaries are left out: those of several nodes cannot be made
into one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from prometheus_client.core import Metric, Sample

from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.web.exposition_layout import Layout
from statsd_tcp.web.exposition_rows import WRITERS, Numbers

__all__ = ["OWN", "Lines", "own_lines", "series_lines"]

OWN: Final = 0


class Lines(NamedTuple):
    """Some lines, and whether they count: then they begin with 0."""

    counts: bool
    numbers: Numbers


_COUNTING: Final = frozenset({"counter", "histogram", "summary"})
_ADDED_UP: Final = frozenset({"c", "ms", "h"})
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def series_lines(layout: Layout, snapshot: Snapshot) -> Iterator[Lines]:
    """Return the lines of all series, those of one kind after the other."""
    for blocks, table in zip(layout.blocks, snapshot.tables(), strict=True):
        writer, counts = WRITERS[table.kind], table.kind in _ADDED_UP
        for block in blocks:
            yield Lines(counts, writer.numbers(block, table))


def own_lines(families: Iterable[Metric]) -> list[Lines]:
    """Return the lines of the service's own metrics: those that count, and all others."""
    found: dict[bool, dict[str, float]] = {True: {}, False: {}}
    for family in families:
        some = found[family.type in _COUNTING]
        some.update((_head(sample), float(sample.value)) for sample in family.samples)
    return [
        Lines(counts, Numbers([OWN] * len(some), list(some), list(some.values()))) for counts, some in found.items()
    ]


def _head(sample: Sample) -> str:
    pairs = (f'{name}="{value.translate(_ESCAPES)}"' for name, value in sorted(sample.labels.items()))
    labels = ",".join(pairs)
    return f"{sample.name}{{{labels}}} " if labels else f"{sample.name} "
