"""What happens to one gauge: a setting, and changes after it.

The changes of one gauge are a list in the order of time, in which

* at most the first sets the gauge: whatever came before a setting no longer matters;
* changes relative to the value that were made at the same tick are added up.

Ticks are nanoseconds of CLOCK_MONOTONIC, which all processes of a machine share: the lists of several
workers merge into what one process would have seen. What different workers did at the very same tick has no
order; there a setting comes before a relative change, and of two settings the larger one wins, in
whatever order they are merged.

A client can change a gauge a million times a second. So a list has at most `MOST_CHANGES`. When it is full, changes
that are near each other become one, at the tick of the last of them. The value stays right, unless another process
has set the gauge between them.
"""

from __future__ import annotations

from itertools import chain

__all__ = ["CHANGE_BYTES", "MOST_CHANGES", "Change", "append_change", "apply_changes", "merge_changes"]

Change = tuple[int, bool, float]
"""At a tick the gauge was set to a value (False), or changed by it (True)."""


MOST_CHANGES = 1024

CHANGE_BYTES = 130
"""Memory of a change."""


def append_change(changes: list[Change], change: Change, most: int = MOST_CHANGES) -> None:
    """Add what happened after all of ``changes``, in the same process; so ``most`` are kept, four at least."""
    tick, relative, value = change
    if not relative:
        changes.clear()
    elif changes and changes[-1][:2] == (tick, True):
        change = (tick, True, changes.pop()[2] + value)
    elif len(changes) >= most:
        changes[:] = _thinned(changes, most)
    changes.append(change)


def _thinned(changes: list[Change], most: int) -> list[Change]:
    """Join the relative changes that are near each other in time, so that at most half of the most are left."""
    first = 0 if changes[0][1] else 1
    begin, end = changes[first][0], changes[-1][0]
    grain = (end - begin) // (most // 2 - 1) + 1
    kept = changes[:first]
    for tick, _, value in changes[first:]:
        if len(kept) > first and (kept[-1][0] - begin) // grain == (tick - begin) // grain:
            kept[-1] = (tick, True, kept[-1][2] + value)
        else:
            kept.append((tick, True, value))
    return kept


def merge_changes(*processes: list[Change], most: int = MOST_CHANGES) -> list[Change]:
    """Return the changes of several processes, in the order of time, so ``most`` of them."""
    merged: list[Change] = []
    for change in sorted(chain.from_iterable(processes)):
        append_change(merged, change, most)
    return merged


def apply_changes(value: float, set_at: float, changes: list[Change]) -> tuple[float, float]:
    """Return a gauge's value and the tick of its last setting, after ``changes`` to ``value`` and ``set_at``.

    Workers hand over at different moments, so that what comes later may have happened earlier: what is older than the
    last setting no longer has an effect. A gauge that was never set starts from 0.
    """
    for tick, relative, number in changes:
        if tick >= set_at:
            value, set_at = (value + number, set_at) if relative else (number, tick)
    return value, set_at
