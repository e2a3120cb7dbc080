"""What workers say by number (`statsd_tcp.aggregate.numbered`), and the names that it stands for.

A session is made by the first message of it, and is never changed but by what later ones add. A piece keeps the one
that it belongs to: it may have to wait, or be committed again, when its worker has begun another one.
"""

from __future__ import annotations

import msgspec
import numpy as np

from statsd_tcp.aggregate.encoding import BadIntervalError, UnknownSessionError, decode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.numbered import Numbered
from statsd_tcp.store.batch import Piece

__all__ = ["Session", "Sessions"]


class Session:
    """The names that a worker has said, by number."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.names: list[str] = []

    def learn(self, numbered: Numbered) -> bool:
        """Take in names, perhaps once more; return whether none is missing before them."""
        first, names = numbered.first, numbered.names
        if first > len(self.names):
            return False
        self.names[first : first + len(names)] = names
        return True

    def has(self, numbers: bytes) -> bool:
        """Return whether these are numbers of names, each once."""
        places = np.frombuffer(numbers, "<u4")
        if len(places) and int(places.max()) >= len(self.names):
            return False
        found = np.zeros(len(self.names), bool)
        found[places] = True
        return int(np.count_nonzero(found)) == len(places)

    def expand(self, interval: Interval) -> Interval:
        """Return an interval with its counters by name."""
        numbered = interval.numbered
        places = np.frombuffer(numbered.numbers, "<u4").tolist()
        rises = np.frombuffer(numbered.rises, "<f8").tolist()
        counters = dict(zip(map(self.names.__getitem__, places), rises, strict=True))
        return msgspec.structs.replace(interval, counters=counters, numbered=Numbered())


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
        interval, session = self._read(piece)
        return msgspec.structs.replace(piece, interval=interval, session=session)

    def interval(self, piece: Piece) -> Interval:
        """Return what a piece says, by name; raise the same if it was not opened before."""
        interval, session = piece.interval, piece.session
        if interval is None:
            interval, session = self._read(piece)
        return interval if session is None else session.expand(interval)

    def forget(self, ledger_id: str) -> None:
        """Forget a worker's session. What belongs to it is not understood until another one begins."""
        self._sessions.pop(ledger_id, None)

    def _read(self, piece: Piece) -> tuple[Interval, Session | None]:
        interval, session = decode(piece.payload), piece.session
        if session is None and interval.numbered.session:
            session = self._session(piece.ledger_id, interval.numbered)
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
