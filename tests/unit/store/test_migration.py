"""Stores of release 0.1.0 are taken over, whatever comes in between."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from statsd_tcp.store import migration, place
from statsd_tcp.store.batch import CommitBatch
from statsd_tcp.store.database import Store
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.schema import OLD_VERSION
from tests.unit.store.cases import StoreTestCase, counts, total, values

SERIES = """CREATE TABLE series (
    id INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    identity TEXT NOT NULL,
    value REAL NOT NULL,
    weight REAL NOT NULL,
    updated REAL NOT NULL
)"""

MANY = 5000


class MigrationTests(StoreTestCase):
    """A store as release 0.1.0 has left it, with more series than a page has."""

    def setUp(self) -> None:
        """Make the old file of a new one, in which only the series are kept otherwise."""
        super().setUp()
        with closing(self.open()) as store:
            store.commit(CommitBatch(counts=[counts("L1", accepted=7)]))
        now = self.clocks.now
        rows = [(number, "c", f"name{number}", float(number), 0.0, now - 100.0) for number in range(1, MANY + 1)]
        rows += [
            (MANY + 1, "g", "level\nk\nv", 2.5, 99.0, now - 5.0),
            (MANY + 2, "ms", "t", 60.0, 12.0, now),
            (MANY + 3, "h", "d", 3.5, 1.5, now),
            (MANY + 4, "s", "members", 3.0, 0.0, now),
        ]
        with closing(sqlite3.connect(self.path)) as old:
            old.execute("DROP TABLE rows")
            old.execute("DROP TABLE pages")
            old.execute("DROP TABLE owners")
            old.execute("ALTER TABLE slot_parts DROP COLUMN counters")
            old.execute(SERIES)
            old.executemany("INSERT INTO series VALUES (?, ?, ?, ?, ?, ?)", rows)
            old.execute("INSERT INTO traits VALUES (?, 50.0, 'help', NULL, NULL)", (MANY + 2,))
            old.execute(f"PRAGMA user_version = {OLD_VERSION}")
            old.commit()

    def check(self) -> None:
        """Check that the store has everything, and can be used."""
        with closing(self.open()) as store:
            found = store.snapshot
            self.assertEqual({f"name{number}": float(number) for number in range(1, MANY + 1)}, values(found.counters))
            self.assertEqual(list(range(1, MANY + 1)), list(found.counters.ids))
            self.assertEqual({"level\nk\nv": 2.5}, values(found.gauges))
            self.assertEqual(({"t": 60.0}, [12.0]), (values(found.times), list(found.times.weights)))
            self.assertEqual(({"d": 3.5}, [1.5]), (values(found.distributions), list(found.distributions.weights)))
            self.assertEqual({"members": 3.0}, values(found.sets))
            self.assertEqual(50.0, found.times.traits[MANY + 2].ttl)
            self.assertEqual(7, total(found, "accepted"))
            self.assertTrue(store._memory.kinds.columns[0].lasting[: len(found.counters)].all())
            self.assertEqual(found.totals(), store.commit(CommitBatch()).totals())

    def kept(self) -> Path:
        """Return where the old file is kept."""
        return self.path.with_name(f"{self.path.name}{migration.KEPT}")

    def test_all(self) -> None:
        """Everything is there as it was, the old file is kept, and nothing else is left."""
        before = self.path.stat().st_mode
        self.check()
        self.assertEqual({self.path, self.kept()}, set(self.path.parent.iterdir()))
        self.assertEqual((before, before), (self.path.stat().st_mode, self.kept().stat().st_mode))
        with closing(sqlite3.connect(self.kept())) as old:
            self.assertEqual((OLD_VERSION,), old.execute("PRAGMA user_version").fetchone())
            self.assertEqual((MANY + 4,), old.execute("SELECT count(*) FROM series").fetchone())
        self.check()

    def test_dates(self) -> None:
        """The dates of series stay what they were, and a downtime expires nothing."""
        self.clocks.advance(30 * 86400.0)
        with closing(self.open(ttl=110.0)) as store:
            self.assertEqual(MANY, len(store.commit(CommitBatch()).counters))
            self.clocks.advance(20.0)
            store.commit(CommitBatch())
            self.clocks.advance(60.0)
            snapshot = store.commit(CommitBatch())
        self.assertEqual((0, {"level\nk\nv": 2.5}), (len(snapshot.counters), values(snapshot.gauges)))

    def test_ended_in_the_middle(self) -> None:
        """Whatever step it ends at, the next start takes the store over."""
        steps: list[tuple[Any, str]] = [
            (migration, "_convert"),
            (migration, "sync"),
            (migration, "check_whole"),
            (Path, "rename"),
        ]
        for owner, name in steps:
            for after in range(2):
                with self.subTest(step=name, after=after):
                    left = [after]
                    real = getattr(owner, name)

                    def fail(*args: Any, left: list[int] = left, real: Any = real) -> Any:
                        left[0] -= 1
                        if left[0] < 0:
                            raise OSError(28, "No space left on device")
                        return real(*args)

                    patch = self.patch(owner, name, fail)
                    try:
                        Store(self.path).close()
                    except StoreError:
                        pass
                    patch.restore()
        self.check()

    def test_in_use(self) -> None:
        """While another process reads the old file it is left as it is."""
        # To close a file gives up all locks of a process on it, and here the other one is the same.
        self.patch(place, "close_to_others", lambda path: None)
        other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(other.close)
        writer = sqlite3.connect(self.path, isolation_level=None)
        writer.execute("PRAGMA journal_mode = WAL")
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM series").fetchone()
        writer.execute("INSERT INTO totals VALUES ('more', '{}', 1)")
        self.addCleanup(writer.close)
        error = self.assertRaises(StoreError, Store, self.path)
        self.assertIn("another process has it open", str(error))
        other.close()
        writer.close()
        self.check()
