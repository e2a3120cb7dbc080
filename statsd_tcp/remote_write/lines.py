"""The lines of the page as numbers: of each its id, what stands before the number, the number, and whether it counts.

    hits{code="200"} 3.0        (id of the series, 'hits{code="200"} ', 3.0, True)

The service's own lines have the id 0. The quantiles of summaries are left out: those of several nodes cannot be made
into one.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client.core import Metric

from statsd_tcp.store.snapshot import Snapshot
from statsd_tcp.web.exposition_layout import Layout
from statsd_tcp.web.exposition_rows import WRITERS

__all__ = ["OWN", "Line", "own_lines", "series_lines"]

Line = tuple[int, str, float, bool]

OWN: Final = 0

_COUNTING: Final = frozenset({"counter", "histogram", "summary"})
_ADDED_UP: Final = frozenset({"c", "ms", "h"})
_ESCAPES: Final = str.maketrans({"\\": r"\\", '"': r"\"", "\n": r"\n"})


def series_lines(layout: Layout, snapshot: Snapshot) -> Iterator[Line]:
    """Return the lines of all series, those of one kind after the other."""
    for blocks, table in zip(layout.blocks, snapshot.tables(), strict=True):
        writer, counts = WRITERS[table.kind], table.kind in _ADDED_UP
        for block in blocks:
            for row, head, value in writer.numbers(block, table):
                yield row, head, value, counts


def own_lines(families: Iterable[Metric]) -> Iterator[Line]:
    """Return the lines of the service's own metrics."""
    for family in families:
        counts = family.type in _COUNTING
        for sample in family.samples:
            pairs = (f'{name}="{value.translate(_ESCAPES)}"' for name, value in sorted(sample.labels.items()))
            labels = ",".join(pairs)
            yield OWN, f"{sample.name}{{{labels}}} " if labels else f"{sample.name} ", float(sample.value), counts
