"""Which pieces of the journals a commit takes in, each following the one before it.

A piece can go lost between a worker and the store, when the supervisor became another image while it had it in hand.
The journal still has the lines. Until they are read, the pieces after the gap wait:

    store      | committed |
    recovered              | piece |
    gathered                       | piece | piece |        wait until the one before them is there

A piece that could not be understood stands for such a gap.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from typing import NamedTuple

from statsd_tcp.store.batch import Piece

__all__ = ["Lineup", "line_up"]


class Lineup(NamedTuple):
    """What goes into a commit, and what has to wait.

    ``ends`` are the offsets up to which the ledgers' journals are taken in. ``gaps`` says for ledgers up to where what
    is missing must be read first.
    """

    pieces: list[Piece]
    ends: dict[str, int]
    held: list[Piece]
    gaps: dict[str, int]


def line_up(
    gathered: Iterable[Piece],
    recovered: Mapping[str, Piece],
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
    recovered: Mapping[str, Piece],
    committed: Callable[[str], int],
    ledgers: Container[str],
) -> None:
    name = piece.ledger_id
    needed = piece.end if piece.unread else piece.start
    end = lineup.ends.get(name)
    if end is None:
        end = committed(name)
        found = recovered.get(name)
        if needed > end and found is not None and found.start == end <= found.end <= needed:
            lineup.pieces.append(found)
            end = found.end
        lineup.ends[name] = end
    if needed > end and name in ledgers:
        lineup.gaps[name] = needed
        lineup.held.append(piece)
    elif not piece.unread:
        lineup.pieces.append(piece)
        lineup.ends[name] = max(end, piece.end)
