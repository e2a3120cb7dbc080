"""The way back to release 0.1.0: its store is made of this version's."""

from __future__ import annotations

import sqlite3
import stat
from array import array
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from typing import Any

import msgspec

from statsd_tcp.aggregate.counter_sums import Fall
from statsd_tcp.aggregate.encoding import VERSION_1, decode
from statsd_tcp.aggregate.flushes import FlushResult, OpenFlush
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.aggregate.known_series import IdleRules, KnownSeries
from statsd_tcp.aggregate.timers import TimerRules
from statsd_tcp.aggregate.values import Values, packed, packed_counts
from statsd_tcp.flush.flushes import changed_counters
from statsd_tcp.flush.timers import FlushTimers
from statsd_tcp.mapping.mapper import Mapper
from statsd_tcp.mapping.rules import MappingRules, Rule
from statsd_tcp.store.database import Store
from statsd_tcp.store.downgrade import LeftOut, write_downgrade
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.frozen import Bounds, Queue
from statsd_tcp.store.handover import ABSORBED
from statsd_tcp.store.leaving import enter_leaving
from statsd_tcp.store.schema import OLD_VERSION
from tests.unit.store.cases import RULES, FlushTestCase, values

LARGE = 2.0**60

SET_AHEAD = 1000.0


def timer(value: float, count: int, rate: float = 1.0) -> Values:
    """Make a timer's values: one of them, that often, each with a weight."""
    return Values(bytearray(packed([value])), bytearray(packed_counts([count])), bytearray(packed([rate])))


def result(payloads: Iterable[bytes]) -> FlushResult:
    """Work out what an output gets of the parts of a flush."""
    flush = OpenFlush(0, 10, FlushTimers())
    counters = Counter[str]()
    for payload in filter(None, payloads):
        interval = decode(payload)
        flush.add(interval)
        counters.update(changed_counters(interval))
    return KnownSeries(IdleRules()).close(flush, dict(counters), TimerRules(), lambda: 0.0)


NEWS = Interval(
    counters={"hits": LARGE, "down": 0.0, "both": 1.0},
    gauges={"level\nk\nv": [(5, False, 2.5)]},
    times={"both": timer(20.0, 2, 5.0)},
    distributions={"both": timer(3.5, 1)},
    sets={"users": {"ann", "bob"}},
    falls={"down": Fall(-4.0, 1)},
)


class DowngradeTests(FlushTestCase):
    """A store with series of all kinds, an open flush, and flushes that wait."""

    def setUp(self) -> None:
        """Fill the store; the wall clock is set ahead between two commits."""
        super().setUp()
        self.store = self.open_with()
        self.commit(self.store, NEWS)
        self.commit(self.store, Interval(counters={"early": 1.0}))
        self.at(11)
        self.clocks.now += SET_AHEAD
        self.commit(self.store, NEWS)
        self.commit(self.store, Interval(counters={"hits": 1.0, "late": 1.0}))
        self.file = self.path.with_name("old")

    def downgrade(self) -> LeftOut:
        """Make the file, next to the store."""
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, isolation_level=None)) as source:
            return write_downgrade(source, self.file)

    def read(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the file."""
        with closing(sqlite3.connect(self.file)) as connection:
            return connection.execute(query).fetchall()

    def change(self, statement: str, *parameters: object) -> None:
        """Change the store behind its back."""
        with closing(sqlite3.connect(self.path)) as connection, connection:
            connection.execute(statement, parameters)

    def test_series(self) -> None:
        """There is a row for each series, in the order of coming, with totals rounded once and dates by wall time."""
        self.assertEqual(LeftOut(0, []), self.downgrade())
        rows = self.read("SELECT kind, identity, value, weight FROM series ORDER BY id")
        self.assertEqual(
            [
                ("c", "hits", 2 * LARGE, 0.0),
                ("c", "down", 0.0, 0.0),
                ("c", "both", 2.0, 0.0),
                ("g", "level\nk\nv", 2.5, 0.0),
                ("ms", "both", 400.0, 20.0),
                ("h", "both", 7.0, 2.0),
            ],
            rows[:6],
        )
        self.assertEqual({"users", "early", "late"}, {identity for _, identity, _, _ in rows[6:]})
        dates = dict(self.read("SELECT identity, updated FROM series WHERE kind = 'c'"))
        self.assertEqual((self.start + SET_AHEAD, self.clocks.now), (dates["early"], dates["hits"]))

    def test_the_file(self) -> None:
        """It is one file of the old version, for its owner alone, without the new tables; nothing else is left."""
        before = set(self.path.parent.iterdir())
        self.downgrade()
        self.assertEqual({*before, self.file}, set(self.path.parent.iterdir()))
        self.assertEqual(0o600, stat.S_IMODE(self.file.stat().st_mode))
        self.assertEqual([(OLD_VERSION,)], self.read("PRAGMA user_version"))
        tables = {name for (name,) in self.read("SELECT name FROM sqlite_master WHERE type = 'table'")}
        kept = {"ledgers", "totals", "traits", "slot_parts", "slot_series", "slot_results", "slot_queue"}
        self.assertEqual({*kept, "series", "sqlite_sequence"}, tables)

    def test_open_flush(self) -> None:
        """Each part of it is in the words of release 0.1.0, in the same order, also one without contents."""
        self.downgrade()
        query = "SELECT id, start, seconds, payload FROM slot_parts ORDER BY id"
        with closing(sqlite3.connect(self.path)) as connection:
            *before, own = zip(*connection.execute(query), strict=True)
        *after, payloads = zip(*self.read(query), strict=True)
        self.assertEqual(before, after)
        self.assertEqual({b"", bytes([VERSION_1])}, {payload[:1] for payload in payloads})
        found = result(payloads)
        assert self.store.flushes is not None
        counted = {name: amount for name, amount in self.store.flushes.open_counters().items() if amount}
        self.assertEqual(-4.0, counted["down"])
        self.assertEqual(msgspec.structs.replace(result(own), counters=counted), found)

    def test_parts_from_before_the_first_rules(self) -> None:
        """What came to counters before there were rules is in the open flush as what came since."""
        self.store.close()
        mapper = Mapper(MappingRules(rules=(Rule(match="hits", name="all"),)))
        clocks = self.clocks
        store = Store(self.path, flushes=RULES, mapper=mapper, wall=clocks.wall, monotonic=clocks.monotonic)
        self.addCleanup(store.close)
        self.commit(store, Interval(counters={"hits": 2.0}))
        self.downgrade()
        with closing(sqlite3.connect(self.file)) as old:
            parts = [payload for (payload,) in old.execute("SELECT payload FROM slot_parts ORDER BY id")]
        assert store.flushes is not None
        counted = {name: amount for name, amount in store.flushes.open_counters().items() if amount}
        self.assertEqual(LARGE + 3.0, counted["hits"])
        self.assertEqual(counted, dict(result(parts).counters))

    def test_known_counters(self) -> None:
        """Outputs are told of each counter that the store has."""
        self.downgrade()
        known = {identity for (identity,) in self.read("SELECT identity FROM slot_series WHERE kind = 'c'")}
        self.assertEqual(set(values(self.store.snapshot.counters)), known)

    def test_back_again(self) -> None:
        """This version takes the file over, with the same totals and the same flushes."""
        self.change("INSERT INTO traits VALUES (1, 50.0, 'help', NULL, NULL)")
        self.downgrade()
        before, waiting = self.store.snapshot, self.results(self.store)
        self.assertTrue(waiting)
        self.store.close()
        self.path = self.file
        again = self.open_with()
        for one, other in zip(before.tables(), again.snapshot.tables(), strict=True):
            self.assertEqual(values(one), values(other))
            if one.kind in {"ms", "h"}:
                self.assertEqual(array("d", one.weights), array("d", other.weights))
        self.assertEqual(50.0, again.snapshot.counters.traits[1].ttl)
        self.assertEqual(before.totals(), again.snapshot.totals())
        self.assertEqual(waiting, self.results(again))

    def test_tables(self) -> None:
        """What release 0.1.0 has no tables for is not there."""
        store = self.open()
        queue = Queue("o", Bounds(9, 1 << 20))
        store.change(lambda connection: queue.load(connection, ["o"]))
        store.change(lambda connection: enter_leaving(connection, "o", "x", "{}", []))
        store.change(lambda connection: connection.execute(ABSORBED))
        store.close()
        self.downgrade()
        with closing(sqlite3.connect(self.file)) as connection:
            names = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        self.assertEqual(
            names - {"sqlite_sequence"},
            {"ledgers", "totals", "series", "traits", "slot_parts", "slot_series", "slot_results", "slot_queue"},
        )

    def test_owners(self) -> None:
        """Who owns names on the page is left out, and counted."""
        self.change("INSERT INTO owners VALUES ('both', 'both', 'ms', 5.0)")
        self.assertEqual(LeftOut(1, []), self.downgrade())

    def test_damage(self) -> None:
        """A row that cannot be read is named, and the rest is there."""
        self.change("INSERT INTO rows VALUES (9, x'0000000000')")
        self.assertEqual(LeftOut(0, ["row 9: a checksum is wrong"]), self.downgrade())
        self.assertEqual([(2 * LARGE,)], self.read("SELECT value FROM series WHERE identity = 'hits'"))

    def test_bad_part(self) -> None:
        """Without the whole open flush there is no file."""
        self.change("INSERT INTO slot_parts VALUES (99, 0, 10, x'63', x'')")
        with self.assertRaises(StoreError) as raised:
            self.downgrade()
        self.assertTrue(str(raised.exception).startswith(f"{self.file} cannot be made: a part of the open flush can"))
        self.assertFalse(self.file.exists())

    def test_of_a_backup(self) -> None:
        """Of a backup it is made too, and is none itself."""
        self.change("CREATE TABLE backup (taken REAL NOT NULL)")
        self.change("INSERT INTO backup VALUES (5.0)")
        self.downgrade()
        with closing(Store(self.file)) as store:
            self.assertEqual(None, store.backup_taken)
