"""Pieces of journals in a row: each behind the one before it, or waiting for it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.commit.lineup import Lineup, line_up
from statsd_tcp.store.batch import Piece


def line(gathered: list[Piece], recovered: Mapping[str, Piece] | None = None, **committed: int) -> Lineup:
    """Line up pieces of the ledgers in ``committed``, which says how far each is in the store."""
    return line_up(gathered, recovered or {}, lambda name: committed.get(name, 0), committed)


class LineupTests(SynchronousTestCase):
    """Pieces of one ledger or two."""

    def test_in_a_row(self) -> None:
        """Pieces that follow each other go in."""
        pieces = [Piece("a", 8, 16, b""), Piece("b", 0, 8, b""), Piece("a", 16, 24, b"")]
        self.assertEqual(Lineup(pieces, {"a": 24, "b": 8}, [], {}), line(pieces, a=8, b=0))

    def test_a_gap(self) -> None:
        """Pieces behind a gap wait, all of that ledger, and those of others do not."""
        first, other, second = Piece("a", 16, 24, b""), Piece("b", 0, 8, b""), Piece("a", 24, 32, b"")
        self.assertEqual(
            Lineup([other], {"a": 8, "b": 8}, [first, second], {"a": 16}), line([first, other, second], a=8, b=0)
        )

    def test_a_gap_that_was_read(self) -> None:
        """What was read of the journal goes before them; if that is only a part, the rest is the gap."""
        piece = Piece("a", 24, 32, b"")
        found = Piece("a", 8, 24, b"x", recovered=True)
        self.assertEqual(Lineup([found, piece], {"a": 32}, [], {}), line([piece], {"a": found}, a=8))
        part = Piece("a", 8, 16, b"x", recovered=True)
        self.assertEqual(Lineup([part], {"a": 16}, [piece], {"a": 24}), line([piece], {"a": part}, a=8))

    def test_what_does_not_fit(self) -> None:
        """What was read from elsewhere is left out; what is of an unreadable ledger the store refuses."""
        piece = Piece("a", 24, 32, b"")
        for found in (Piece("a", 0, 24, b""), Piece("a", 16, 24, b""), Piece("a", 8, 32, b"")):
            self.assertEqual(([], {"a": 24}), (line([piece], {"a": found}, a=8)[0::3]))
        self.assertEqual([piece], line([piece]).pieces)

    def test_unread(self) -> None:
        """A piece that says nothing is a gap up to its end, and is gone when that was read."""
        unread, behind = Piece("a", 8, 24, b"", unread=True), Piece("a", 24, 32, b"")
        self.assertEqual(Lineup([], {"a": 8}, [unread, behind], {"a": 24}), line([unread, behind], a=8))
        part, rest = Piece("a", 8, 16, b"x", recovered=True), Piece("a", 16, 24, b"y", recovered=True)
        self.assertEqual(
            Lineup([part], {"a": 16}, [unread, behind], {"a": 24}), line([unread, behind], {"a": part}, a=8)
        )
        self.assertEqual(Lineup([rest, behind], {"a": 32}, [], {}), line([unread, behind], {"a": rest}, a=16))

    def test_unread_behind_others(self) -> None:
        """What is understood before it goes in at once; it is left out where no ledger can be read."""
        first, unread = Piece("a", 0, 8, b""), Piece("a", 8, 24, b"", unread=True)
        self.assertEqual(Lineup([first], {"a": 8}, [unread], {"a": 24}), line([first, unread], a=0))
        self.assertEqual(Lineup([first], {"a": 8}, [], {}), line([first, unread]))
        self.assertEqual(Lineup([], {"a": 32}, [], {}), line([unread], a=32))

    @given(st.lists(st.integers(1, 5), min_size=1, max_size=12), st.data())
    def test_nothing_twice(self, sizes: list[int], data: st.DataObject) -> None:
        """Whatever pieces are lost on their way, every byte of a journal goes in once, in order."""
        pieces, end = [], 0
        for size in sizes:
            pieces.append(Piece("a", end, end + size, b""))
            end += size
        waiting = [piece for piece in pieces[:-1] if data.draw(st.booleans())] + pieces[-1:]
        waiting = [msgspec.structs.replace(piece, unread=data.draw(st.booleans())) for piece in waiting]
        committed, recovered, rounds = 0, dict[str, Piece](), 0
        while committed < end:
            lineup = line(waiting, recovered, a=committed)
            for piece in lineup.pieces:
                self.assertEqual((committed, False), (piece.start, piece.unread))
                committed = piece.end
            waiting, recovered = lineup.held, {}
            for until in lineup.gaps.values():
                recovered = {"a": Piece("a", committed, data.draw(st.integers(committed + 1, until)), b"")}
            rounds += 1
            self.assertLess(rounds, 100)
