"""Batches of clients: each is added once, whatever comes again, and in whichever piece."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from statsd_tcp.aggregate.batches import BatchSum, Brought
from statsd_tcp.aggregate.encoding import BadIntervalError, encode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.store import clients, memory
from statsd_tcp.store.batch import CommitBatch, Piece
from statsd_tcp.store.clients import FORGOTTEN_AFTER, Clients
from statsd_tcp.store.database import Store
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.schema import SCHEMA_VERSION
from statsd_tcp.store.snapshot import (
    BATCHES,
    BATCHES_REFUSED,
    LINES,
    RECOVERED_LINES,
    REFUSED,
    REPEATED,
    STORED,
    Snapshot,
    TotalKey,
)
from tests.unit.store.cases import RULES, FlushTestCase, StoreTestCase, counts, hits, values

ONE, TWO = bytes(15) + b"1", bytes(15) + b"2"
NOTHING = encode(Interval())


def batch(client: bytes, sequence: int, number: float = 1.0) -> BatchSum:
    """Make a batch of one line."""
    return BatchSum(client, sequence, "tcp:1", encode(hits(number)))


class ClientsTestCase(StoreTestCase):
    """A store that gets batches by several ledgers."""

    def setUp(self) -> None:
        """Open it."""
        super().setUp()
        self.ends: dict[str, int] = {}
        self.store = self.open()

    def commit(
        self,
        *sums: BatchSum,
        ledger: str = "L1",
        recovered: bool = False,
        refused: tuple[tuple[str, str, int], ...] = (),
    ) -> Snapshot:
        """Commit batches as one piece of a ledger."""
        start = self.ends.get(ledger, 0)
        piece = Piece(ledger, start, start + 8, NOTHING, recovered, batches=Brought(sums, refused))
        snapshot = self.store.commit(CommitBatch(counts=[counts(ledger)], pieces=[piece]))
        self.ends[ledger] = start + 8
        return snapshot

    def number(self, metric: str, detail: str, listener: str = "tcp:1") -> int:
        """Return a total."""
        return self.store.snapshot.totals().get(TotalKey(metric, listener, detail=detail), 0)

    @property
    def hits(self) -> float:
        """The total of the counter."""
        return values(self.store.snapshot.counters).get("hits", 0.0)

    @property
    def outcomes(self) -> tuple[int, int, int]:
        """How many batches were stored, repeated, refused."""
        return (self.number(BATCHES, STORED), self.number(BATCHES, REPEATED), self.number(BATCHES, REFUSED))


class ClientsTests(ClientsTestCase):
    """What is added, what is left out, and what is remembered."""

    def test_once(self) -> None:
        """What comes again is left out: in the same piece, in the same commit, later, and after a start."""
        self.commit(batch(ONE, 1), batch(ONE, 1), batch(ONE, 2))
        self.commit(batch(ONE, 2), ledger="L2")
        self.store.close()
        self.store = self.open()
        snapshot = self.commit(batch(ONE, 1), batch(ONE, 2), batch(ONE, 3), ledger="L2", recovered=True)
        self.assertEqual((3.0, (3, 4, 0), 1), (self.hits, self.outcomes, snapshot.clients))
        totals = snapshot.totals()
        self.assertEqual((3, 1), (totals[TotalKey(LINES, "tcp:1")], totals[TotalKey(RECOVERED_LINES)]))

    def test_clients(self) -> None:
        """Each client has its own numbers, which may have holes."""
        self.commit(batch(ONE, 5), batch(TWO, 1), batch(TWO, 9), batch(TWO, 5), batch(ONE, 6))
        self.assertEqual((4.0, (4, 1, 0)), (self.hits, self.outcomes))

    def test_refused(self) -> None:
        """What workers have refused is counted, by listener and by reason."""
        self.commit(refused=(("tcp:1", "crc", 2), ("tcp:1", "size", 1), ("tcp:2", "crc", 4)))
        self.assertEqual((0, 0, 3), self.outcomes)
        self.assertEqual((6, 1), tuple(self.number(BATCHES_REFUSED, reason, "") for reason in ("crc", "size")))

    def test_a_commit_that_fails(self) -> None:
        """After a commit that failed the same batch is new."""
        self.commit(batch(ONE, 1))
        other = sqlite3.connect(self.path, isolation_level=None)
        with closing(other):
            other.execute("BEGIN IMMEDIATE")
            self.assertRaises(StoreError, self.commit, batch(ONE, 2))
        self.assertEqual(1.0, self.hits)
        self.commit(batch(ONE, 2))
        self.assertEqual((2.0, (2, 0, 0)), (self.hits, self.outcomes))

    def test_a_piece_that_is_refused(self) -> None:
        """The batches of a piece that does not begin where its ledger is are not taken, and not known."""
        self.commit(batch(ONE, 1))
        self.ends["L1"] = 999
        self.assertEqual(1, len(self.commit(batch(ONE, 2)).refused))
        self.ends["L1"] = 8
        self.commit(batch(ONE, 2))
        self.assertEqual((2.0, (2, 0, 0)), (self.hits, self.outcomes))

    def test_what_makes_no_sense(self) -> None:
        """A batch that cannot be read makes its piece one that cannot be, too: it stands for a gap."""
        brought = Brought((BatchSum(ONE, 1, "tcp:1", b"\xff"),))
        piece = Piece("L1", 0, 8, NOTHING, batches=brought)
        self.assertRaises(BadIntervalError, self.store.sessions.opened, piece)

    def test_left_out(self) -> None:
        """A snapshot says of which ledgers something was left out."""
        piece = Piece("L1", 0, 8, NOTHING, recovered=True, whole=False)
        pieces = [piece, Piece("L2", 0, 8, NOTHING)]
        snapshot = self.store.commit(CommitBatch(counts=[counts("L1"), counts("L2")], pieces=pieces))
        self.assertEqual(({"L1"}, frozenset()), (snapshot.left_out, self.commit(ledger="L2").left_out))

    def test_forgotten(self) -> None:
        """A client that was silent for a week is forgotten, one that was not is not, and neither after a downtime."""
        self.commit(batch(ONE, 1), batch(TWO, 1))
        self.clocks.advance(FORGOTTEN_AFTER - 100)
        self.commit(batch(TWO, 2))
        self.store.close()
        self.clocks.now += 10 * FORGOTTEN_AFTER
        self.store = self.open(ttl=100 * FORGOTTEN_AFTER)
        self.assertEqual(2, self.commit().clients)
        self.clocks.advance(200)
        self.assertEqual(1, self.commit().clients)
        self.commit(batch(TWO, 2), batch(ONE, 1))
        self.assertEqual((4.0, (4, 1, 0)), (self.hits, self.outcomes))
        with closing(sqlite3.connect(self.path)) as connection:
            rows = connection.execute("SELECT id, seq FROM clients ORDER BY id").fetchall()
        self.assertEqual([(ONE, 1), (TWO, 2)], rows)

    def test_too_many(self) -> None:
        """Of more clients than are remembered those go that were silent for the longest time, and never new ones."""
        self.store.close()
        self.patch(memory, "Clients", lambda: Clients(most=3))
        self.store = self.open()
        names = [bytes([number]) * 16 for number in range(8)]
        for name in names[:3]:
            self.commit(batch(name, 1))
            self.clocks.advance(1)
        self.commit(batch(names[0], 2))
        self.assertEqual(3, self.commit(batch(names[3], 1)).clients)
        self.assertEqual(4, self.commit(*(batch(name, 1) for name in names[4:])).clients)
        self.store.close()
        self.store = self.open()
        self.commit(*(batch(name, 1) for name in names[4:]))
        self.assertEqual((9, 4, 0), self.outcomes)
        self.assertEqual(3, self.commit(batch(names[1], 1)).clients)

    def test_before(self) -> None:
        """A store of the schema before this one is taken over, with no clients."""
        self.commit(batch(ONE, 1))
        self.store.close()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute("DROP TABLE clients")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION - 1}")
        self.store = self.open()
        self.commit(batch(ONE, 1))
        self.assertEqual((2.0, 1), (self.hits, self.store.snapshot.clients))

    def test_bounds(self) -> None:
        """What the guarantees say of clients is so."""
        self.assertEqual((7 * 86400, 100_000), (clients.FORGOTTEN_AFTER, clients.MOST_CLIENTS))


class FlushTests(FlushTestCase):
    """Batches are in the flushes, too."""

    def test_once(self) -> None:
        """A flush has what is new, of living workers and of the journals of others."""
        store: Store = self.open_with(RULES)
        for start, recovered in ((0, False), (8, True), (16, True)):
            sums = (batch(ONE, 1 + start), batch(TWO, 1))
            piece = Piece("L1", start, start + 8, encode(hits(10.0)), recovered, batches=Brought(sums))
            store.commit(CommitBatch(counts=[counts("L1")], pieces=[piece]))
        self.at(12)
        store.commit(CommitBatch())
        (result,) = self.results(store)
        self.assertEqual({"hits": 34.0}, dict(result.counters))
