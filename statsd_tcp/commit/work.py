"""One commit: what it takes in, what it brings, and how the one becomes the other, in the store's thread."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple

from statsd_tcp.commit.lineup import Lineup, line_up
from statsd_tcp.commit.opening import Misunderstanding, open_pieces, open_recovered
from statsd_tcp.commit.replay import Replay
from statsd_tcp.ledger.folder import Ledger
from statsd_tcp.ledger.layout import LedgerCounts
from statsd_tcp.ledger.reader import ShrunkError
from statsd_tcp.store.batch import CommitBatch, Piece
from statsd_tcp.store.snapshot import LedgerState, Snapshot

if TYPE_CHECKING:
    # At run time it is imported late, with numpy, by the thread that needs it.
    from statsd_tcp.store.database import Store

__all__ = ["Done", "Work", "carry_out"]


class Work(NamedTuple):
    """What one commit takes in.

    ``gathered`` are the workers' answers, replaced by what is understood of them; ``noted`` has what is not.
    ``ledgers`` are all that are open, by id, with their ``counts``; the workers of the ``retired`` ones have ended.
    ``recovered`` is what was read of journals since the last commit: of theirs, and of the living where something is
    missing. ``unlinked`` are the ids whose files are deleted, ``delivered`` the flushes that an output has written.
    ``files`` are the ids of which there is a file, known only to the first commit.
    """

    gathered: list[Piece]
    counts: list[LedgerCounts]
    ledgers: dict[str, Ledger]
    retired: list[Ledger]
    recovered: dict[str, Replay]
    unlinked: list[str]
    delivered: list[tuple[str, int]]
    files: set[str] | None
    noted: list[Misunderstanding]


class Done(NamedTuple):
    """What one commit has brought.

    ``folded`` are the ledgers that are done with, ``held`` the pieces that wait for what is missing before them, and
    ``lost`` the ledgers that the store knows and that are gone. ``unread`` are the journals that have to
    be read, each up to an offset or None for its end, ``in_vain`` those that were, and what came of it was not
    understood. ``backup_taken`` is when the backup was taken that the store was before, or None.
    """

    snapshot: Snapshot
    folded: list[Ledger]
    unread: list[tuple[Ledger, int | None]]
    in_vain: set[str]
    held: list[Piece]
    lost: list[LedgerState]
    backup_taken: float | None


def carry_out(work: Work, store: Store, unreadable: set[str]) -> Done:
    """Commit what there is; raises `StoreError`.

    ``unreadable`` are the ids of ledgers that cannot be opened for now. ``work.gathered`` and ``work.noted`` are
    changed, and stay so where the commit fails: what is not understood is noted once, and names are learnt once.
    """
    work.gathered[:] = open_pieces(work.gathered, store.sessions, work.noted)
    recovered = open_recovered(work.recovered, store.sessions, work.noted)
    lineup = line_up(work.gathered, recovered, lambda name: _safe_offset(store, name), work.ledgers)
    folded = [ledger for ledger in work.retired if _is_over(ledger, lineup, recovered, work.recovered, store)]
    lost = _without_file(store, work, unreadable)
    gone = [state.ledger_id for state in lost]
    batch = CommitBatch(
        counts=work.counts,
        pieces=lineup.pieces,
        folded=[ledger.ledger_id for ledger in folded] + gone,
        unlinked=work.unlinked + [name for name in gone if name not in (work.files or ())],
        delivered=work.delivered,
    )
    unread: list[tuple[Ledger, int | None]] = [(work.ledgers[name], end) for name, end in lineup.gaps.items()]
    dead = [ledger for ledger in work.retired if ledger not in folded and ledger.ledger_id not in lineup.gaps]
    unread += [(ledger, None) for ledger in dead]
    backup_taken = store.backup_taken
    in_vain = work.recovered.keys() - recovered.keys()
    return Done(store.commit(batch), folded, unread, in_vain, lineup.held, lost, backup_taken)


def _safe_offset(store: Store, ledger_id: str) -> int:
    """Return the offset up to which a ledger's journal is in the store."""
    known = store.snapshot.ledgers.get(ledger_id)
    return known.committed if known else 0


def _without_file(store: Store, work: Work, unreadable: set[str]) -> list[LedgerState]:
    """Find the ledgers that the store knows and of which there is nothing more to come. Only the first commit looks.

    Their file is gone, because a crash came between deleting it and forgetting the row, or because it was taken away;
    or it was set aside. What the store has of them is settled then, or their connections would be open for ever.
    """
    if work.files is None:
        return []
    known = store.snapshot.ledgers
    return [state for name, state in known.items() if name not in work.ledgers and name not in unreadable]


def _is_over(
    ledger: Ledger, lineup: Lineup, recovered: Mapping[str, Piece], replays: Mapping[str, Replay], store: Store
) -> bool:
    """Line up what was read of a dead worker's journal; return whether all that it had is in this commit."""
    name = ledger.ledger_id
    if name in lineup.gaps:
        return False
    end = lineup.ends.get(name, _safe_offset(store, name))
    found = recovered.get(name)
    fault = ""
    if found is not None and found.start == end:
        lineup.pieces.append(found)
        end, fault = found.end, replays[name].fault
    try:
        return bool(fault) or ledger.head <= end
    except (ShrunkError, OSError):
        # How much there was is what the reader of the journal will say.
        return False
