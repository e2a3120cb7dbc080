"""What workers say by number (`statsd_tcp.aggregate.numbered`), and the names that it stands for.

A session is made by the first message of it, and is never changed but by what later ones add. A piece keeps the one
that it belongs to: it may have to wait, or be committed again, when its worker has begun another one.
"""

from __future__ import annotations

import msgspec

from statsd_tcp.aggregate.encoding import BadIntervalError, UnknownSessionError, decode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.numbered import Numbered
from statsd_tcp.store.batch import Piece
from statsd_tcp.store.session import Session

__all__ = ["Sessions"]


class Sessions:
    """The present session of each worker that has one, by the id of its ledger."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    def opened(self, piece: Piece) -> Piece:
        """Return a piece with what its payload says.

        Raise `UnknownSessionError` where nothing is known of its session, and `BadIntervalError` for any other payload
        that makes no sense here.
        """
        if piece.interval is not None:
            return piece
        batches = tuple(decode(each.payload) for each in piece.batches.sums)
        if any(each.numbered.session for each in batches):
            raise BadIntervalError("a batch has counters by number")
        interval, session = self._read(piece)
        return msgspec.structs.replace(piece, interval=interval, session=session, batch_intervals=batches)

    def forget(self, ledger_id: str) -> None:
        """Forget a worker's session. What belongs to it is not understood until another one begins."""
        self._sessions.pop(ledger_id, None)

    def _read(self, piece: Piece) -> tuple[Interval, Session | None]:
        interval, session = decode(piece.payload), piece.session
        if session is None and interval.numbered.session:
            session = self._session(piece.ledger_id, interval.numbered)
            if interval.falls and not interval.falls.keys() <= set(session.name(interval.numbered.numbers)):
                raise BadIntervalError("a counter went down that is not among the counters")
        return interval, session

    def _session(self, ledger_id: str, numbered: Numbered) -> Session:
        session = self._sessions.get(ledger_id)
        if session is None or session.number != numbered.session:
            if numbered.first:
                error = UnknownSessionError if session is None else BadIntervalError
                raise error("it belongs to a session whose beginning is not known")
            session = Session(numbered.session)
        if not session.learn(numbered):
            raise BadIntervalError("names are missing that were said before it")
        if not session.has(numbered.numbers):
            raise BadIntervalError("it has numbers that stand for no name, or one twice")
        self._sessions[ledger_id] = session
        return session
