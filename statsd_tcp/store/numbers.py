"""The ids of new series: of those of one commit the one that came first has the lowest, whatever their kinds are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import count

from statsd_tcp.aggregate.firsts import FIELDS, First
from statsd_tcp.store.series import SeriesPlan

__all__ = ["number"]


def number(plans: Sequence[tuple[str, SeriesPlan]], met: Iterable[First], next_id: int) -> None:
    """Give ids to the fresh series of plans, each with its kind; what was not ``met`` comes behind what was.

    In each plan they are then in the order of their ids.
    """
    ranks: dict[tuple[str, str], int] = {}
    for first in sorted(met):
        ranks.setdefault((first.field, first.identity), len(ranks))
    last = len(ranks)
    fresh = [(ranks.get((FIELDS[kind], name), last), plan, name) for kind, plan in plans for name in plan.fresh]
    # Sorting is stable: those that were not met stay as they are.
    fresh.sort(key=_rank_of)
    ids = count(next_id)
    for _, plan, name in fresh:
        plan.fresh[name] = plan.fresh.pop(name)
        plan.ids.append(next(ids))


def _rank_of(row: tuple[int, SeriesPlan, str]) -> int:
    return row[0]
