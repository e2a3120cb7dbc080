"""The ids of new series: of those of one commit the one that came first has the lowest, whatever their kinds are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from statsd_tcp.aggregate.firsts import FIELDS, First
from statsd_tcp.series.plan import SeriesPlan

__all__ = ["number"]


def number(plans: Sequence[tuple[str, SeriesPlan]], met: Iterable[First], next_id: int) -> None:
    """Assign ids to the fresh series of plans, each with its kind: first to those that were ``met``, then to others."""
    ranks: dict[tuple[str, str], int] = {}
    for first in sorted(met):
        ranks.setdefault((first.field, first.identity), len(ranks))
    last = len(ranks)
    fresh = [(kind, name) for kind, plan in plans for name in plan.fresh.identities]
    # Sorting is stable: those that were not met stay as they are.
    ids = np.arange(next_id, next_id + len(fresh))
    if ranks:
        order = np.argsort([ranks.get((FIELDS.get(kind, kind), name), last) for kind, name in fresh], kind="stable")
        ids[order] = ids.copy()
    begin = 0
    for _, plan in plans:
        end = begin + len(plan.fresh.identities)
        plan.fresh.ids = ids[begin:end]
        begin = end
