"""What workers and the readers of journals have said is understood, or left to the journals.

What makes no sense must not keep the rest out of the store. It is left out, and stands for a gap in what has come from
its ledger: the lines are read from the journal. The same becomes of a piece whose names were said to the image of the
supervisor before this one, which is no fault.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, NamedTuple

from twisted.logger import Logger

from statsd_tcp.aggregate.encoding import BadIntervalError, UnknownSessionError
from statsd_tcp.commit.replay import Replay
from statsd_tcp.store.batch import Piece
from statsd_tcp.words import in_words

if TYPE_CHECKING:
    # At run time it is imported late, with numpy, by the thread that needs it.
    from statsd_tcp.store.sessions import Sessions

__all__ = ["Misunderstanding", "Misunderstandings", "open_pieces", "open_recovered"]


class Misunderstanding(NamedTuple):
    """A piece of this ledger is not understood."""

    ledger_id: str
    error: BadIntervalError


def open_pieces(pieces: Iterable[Piece], sessions: Sessions, noted: list[Misunderstanding]) -> list[Piece]:
    """Return pieces with what they say. One that is not understood is marked as unread, and noted."""
    return [_opened(piece, sessions, noted) for piece in pieces]


def open_recovered(
    recovered: Mapping[str, Replay], sessions: Sessions, noted: list[Misunderstanding]
) -> dict[str, Piece]:
    """Return what was read of journals as pieces, by ledger. One that is not understood is left out, and noted."""
    found = [
        Piece(name, each.start, each.end, each.payload, recovered=True, batches=each.batches, whole=each.whole)
        for name, each in recovered.items()
    ]
    return {piece.ledger_id: piece for piece in open_pieces(found, sessions, noted) if not piece.unread}


class Misunderstandings:
    """Counts what was not understood, though it should have been, and says so once for each ledger.

    ``heard`` are called with the id of each ledger of which something is not understood, whatever the reason.
    """

    _log = Logger()

    def __init__(self) -> None:
        self.number = 0
        self.heard: list[Callable[[str], object]] = []
        self._told: set[str] = set()

    def tell(self, noted: Iterable[Misunderstanding]) -> None:
        """Take in what was noted."""
        for ledger_id, error in noted:
            if not isinstance(error, UnknownSessionError):
                self.number += 1
                self._say(ledger_id, error)
            for callback in self.heard:
                callback(ledger_id)

    def forget(self, ledger_id: str) -> None:
        """Forget a ledger that is done with."""
        self._told.discard(ledger_id)

    def _say(self, ledger_id: str, error: BadIntervalError) -> None:
        if ledger_id not in self._told:
            self._told.add(ledger_id)
            self._log.error(
                "what came from the ledger {ledger} is not understood ({why}): its journal is read instead",
                ledger=ledger_id,
                why=in_words(error),
            )


def _opened(piece: Piece, sessions: Sessions, noted: list[Misunderstanding]) -> Piece:
    if piece.unread:
        return piece
    try:
        return sessions.opened(piece)
    except BadIntervalError as error:
        sessions.forget(piece.ledger_id)
        noted.append(Misunderstanding(piece.ledger_id, error))
        return Piece(piece.ledger_id, piece.start, piece.end, b"", unread=True)
