"""Which pieces of the journals a commit takes in, each behind the one before it.

A piece can go lost between a worker and the store, when the supervisor became another image while it had it in hand.
The journal still has the lines. Until they are read the pieces behind the gap wait:

    store      | committed |
    recovered              | piece |
    gathered                       | piece | piece |        wait until the one before them is there
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from typing import NamedTuple

from statsd_tcp.commit.replay import Replay
from statsd_tcp.store.batch import Piece

__all__ = ["Lineup", "line_up", "recovered_piece"]


class Lineup(NamedTuple):
    """What goes into a commit, and what has to wait.

    ``ends`` are the offsets up to which the ledgers' journals are taken in. ``gaps`` says for ledgers up to where what
    is missing must be read first.
    """

    pieces: list[Piece]
    ends: dict[str, int]
    held: list[Piece]
    gaps: dict[str, int]


def recovered_piece(ledger_id: str, found: Replay) -> Piece:
    """Return what reading a journal gave as a piece of it."""
    return Piece(ledger_id, found.start, found.end, found.payload, recovered=True)


def line_up(
    gathered: Iterable[Piece],
    recovered: Mapping[str, Replay],
    committed: Callable[[str], int],
    ledgers: Container[str],
) -> Lineup:
    """Line up what came from workers, in its order, with what was read of their journals.

    ``committed`` tells up to where a journal is in the store, ``ledgers`` has those that can be read.
    """
    lineup = Lineup([], {}, [], {})
    for piece in gathered:
        if piece.ledger_id in lineup.gaps:
            lineup.held.append(piece)
        else:
            _place(piece, lineup, recovered, committed, ledgers)
    return lineup


def _place(
    piece: Piece,
    lineup: Lineup,
    recovered: Mapping[str, Replay],
    committed: Callable[[str], int],
    ledgers: Container[str],
) -> None:
    name = piece.ledger_id
    end = lineup.ends.get(name)
    if end is None:
        end = committed(name)
        found = recovered.get(name)
        if piece.start > end and found is not None and found.start == end <= found.end <= piece.start:
            lineup.pieces.append(recovered_piece(name, found))
            end = found.end
        lineup.ends[name] = end
    if piece.start > end and name in ledgers:
        lineup.gaps[name] = piece.start
        lineup.held.append(piece)
    else:
        lineup.pieces.append(piece)
        lineup.ends[name] = max(end, piece.end)
