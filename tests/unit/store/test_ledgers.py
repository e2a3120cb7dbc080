"""The counts of ledgers, while their writers live and after."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given, settings
from hypothesis import strategies as st

from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.store.batch import CommitBatch, Piece
from statsd_tcp.store.database import Store
from statsd_tcp.store.snapshot import TotalKey
from tests.unit.store.cases import StoreTestCase, counts, total, values


class LedgerTests(StoreTestCase):
    """Counts of ledgers, while their writers live and after."""

    def test_live_counts_are_totals(self) -> None:
        """A ledger's cells are part of the totals, and only those that count."""
        snapshot = self.open().commit(
            CommitBatch(
                counts=[
                    counts("L1", worker=0, accepted=5, closed_eof=2, heartbeat=10**18, paused=1),
                    counts("L2", worker=1, accepted=7),
                ]
            )
        )
        self.assertEqual(
            snapshot.totals(),
            {
                TotalKey("accepted", "tcp:1", "0"): 5,
                TotalKey("closed", "tcp:1", "0", "eof"): 2,
                TotalKey("accepted", "tcp:1", "1"): 7,
            },
        )

    def test_fresher_readings(self) -> None:
        """Totals with cells read later take the larger numbers, and ledgers that the store does not know."""
        snapshot = self.open().commit(CommitBatch(counts=[counts("L1", accepted=5, closed_eof=4)]))
        live = [counts("L1", accepted=9, closed_eof=3), counts("L2", accepted=2)]
        self.assertEqual(
            snapshot.totals(live),
            {TotalKey("accepted", "tcp:1", "0"): 11, TotalKey("closed", "tcp:1", "0", "eof"): 4},
        )

    def test_folding_books_open_connections_as_killed(self) -> None:
        """What was open in a dead worker is closed with the reason killed."""
        snapshot = self.open().commit(
            CommitBatch(counts=[counts("L1", accepted=10, closed_eof=6, closed_idle=1)], folded=["L1"])
        )
        self.assertEqual(total(snapshot, "accepted"), 10)
        self.assertEqual(total(snapshot, "closed", detail="killed"), 3)
        self.assertTrue(snapshot.ledgers["L1"].folded)

    def test_a_ledger_folds_once(self) -> None:
        """Folding again, also after a reopen and with the old file's counts, adds nothing."""
        store = self.open()
        batch = CommitBatch(counts=[counts("L1", accepted=10, closed_eof=6)], folded=["L1"])
        expected = store.commit(batch).totals()
        store.close()
        again = self.open()
        snapshot = again.commit(batch)
        self.assertEqual(snapshot.totals(), expected)
        self.assertEqual(snapshot.totals([counts("L1", accepted=10)]), expected)

    def test_a_folded_ledger_still_takes_its_journal(self) -> None:
        """The journal of a dead worker may be replayed after its counts were folded."""
        store = self.open()
        store.commit(CommitBatch(counts=[counts("L1")], folded=["L1"]))
        piece = Piece("L1", 0, 8, encode(Interval(counters={"a": 1.0})))
        self.assertEqual(values(store.commit(CommitBatch(pieces=[piece])).counters), {"a": 1.0})

    def test_a_ledger_is_forgotten_when_its_file_is_gone(self) -> None:
        """An unlinked ledger leaves the store, its totals stay; one that is not folded is kept."""
        store = self.open()
        store.commit(CommitBatch(counts=[counts("L1", accepted=2), counts("L2", accepted=3)], folded=["L1"]))
        store.commit(CommitBatch(unlinked=["L1", "L2", "L3"]))
        store.close()
        snapshot = self.open().snapshot
        self.assertEqual(list(snapshot.ledgers), ["L2"])
        self.assertEqual(total(snapshot, "accepted"), 5)

    def test_cells_that_fell_back_count_with_the_larger_number(self) -> None:
        """After a power loss the file may have older numbers than the store: the larger counts."""
        store = self.open()
        store.commit(CommitBatch(counts=[counts("L1", accepted=10, closed_eof=4)]))
        store.close()
        batch = CommitBatch(counts=[counts("L1", accepted=7, closed_eof=6)], folded=["L1"])
        snapshot = self.open().commit(batch)
        self.assertEqual(total(snapshot, "accepted"), 10)
        self.assertEqual(total(snapshot, "closed", detail="eof"), 6)
        self.assertEqual(total(snapshot, "closed", detail="killed"), 4)

    def test_what_was_closed_had_been_accepted(self) -> None:
        """If a power loss left more closed than accepted, the fold counts as many as accepted."""
        snapshot = self.open().commit(CommitBatch(counts=[counts("L1", accepted=3, closed_eof=5)], folded=["L1"]))
        self.assertEqual(total(snapshot, "accepted"), 5)
        self.assertEqual(total(snapshot, "closed", detail="killed"), 0)

    @settings(max_examples=30)
    @given(st.lists(st.tuples(st.sampled_from("LMN"), st.integers(0, 5), st.booleans()), max_size=12))
    def test_totals_never_fall(self, steps: list[tuple[str, int, bool]]) -> None:
        """Whatever order ledgers count, fold and go in, no total falls from one snapshot to the next."""
        path = self.path.with_name(f"{id(steps)}.db")
        store = Store(path)
        cells: dict[str, int] = {}
        before: Mapping[TotalKey, int] = {}
        try:
            for ledger_id, more, dies in steps:
                cells[ledger_id] = cells.get(ledger_id, 0) + more
                reading = counts(ledger_id, accepted=cells[ledger_id])
                after = store.commit(CommitBatch(counts=[reading], folded=[ledger_id] * dies)).totals()
                self.assertTrue(all(after[key] >= value for key, value in before.items()))
                before = after
        finally:
            store.close()
            path.unlink()
