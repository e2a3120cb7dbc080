"""Files that cannot be used, and commits that fail."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing

from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.store.batch import CommitBatch, Piece
from statsd_tcp.store.database import Store
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.schema import APPLICATION_ID, SCHEMA_VERSION
from tests.unit.aggregate.model import came
from tests.unit.store.cases import StoreTestCase, counts, total, values


class FailureTests(StoreTestCase):
    """Files that cannot be used, and commits that fail."""

    def assert_refused(self, *words: str) -> None:
        """Check that the store cannot be opened, and that the one line says why and where."""
        text = str(self.assertRaises(StoreError, Store, self.path))
        self.assertNotIn("\n", text)
        for word in (str(self.path), *words):
            self.assertIn(word, text)

    def test_a_foreign_file(self) -> None:
        """A file that is no database is refused, and left as it was."""
        content = b"precious " * 1000
        self.path.write_bytes(content)
        self.assert_refused("not a SQLite database")
        self.assertEqual(self.path.read_bytes(), content)

    def test_links(self) -> None:
        """Links in the place of the file or of SQLite's companions are refused, and not followed."""
        precious = self.path.with_name("precious")
        precious.write_bytes(b"")
        precious.chmod(0o644)
        for suffix in ("", "-wal", "-shm", "-journal"):
            link = self.path.with_name(f"{self.path.name}{suffix}")
            for make, why in ((link.symlink_to, "it is a symbolic link"), (link.hardlink_to, "it has a second name")):
                make(precious)
                self.assert_refused(f"{link} cannot be opened: {why}")
                self.assertEqual((b"", 0o644), (precious.read_bytes(), precious.stat().st_mode & 0o777))
                link.unlink()

    def test_modes(self) -> None:
        """The file and its companions are closed to others, also those from before."""
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        store = self.open()
        store.commit(CommitBatch(counts=[counts("L1")]))
        files = [self.path.with_name(f"{self.path.name}{suffix}") for suffix in ("", "-wal", "-shm")]
        self.assertEqual({0o600}, {file.stat().st_mode & 0o777 for file in files})
        store.close()
        self.path.chmod(0o644)
        self.open()
        self.assertEqual({0o600}, {file.stat().st_mode & 0o777 for file in files})

    def test_a_foreign_database(self) -> None:
        """A database of another program is refused, and left as it was."""
        with closing(sqlite3.connect(self.path)) as other, other:
            other.execute("CREATE TABLE precious (x)")
        content = self.path.read_bytes()
        self.assert_refused("another program")
        self.assertEqual(self.path.read_bytes(), content)

    def test_another_schema_version(self) -> None:
        """A store of another version is refused, with both versions named."""
        self.open().close()
        with closing(sqlite3.connect(self.path)) as other:
            other.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
        self.assert_refused(f"version {SCHEMA_VERSION + 1}", f"knows {SCHEMA_VERSION}")

    def test_a_damaged_file(self) -> None:
        """A store with overwritten pages is refused as damaged."""
        store = self.open()
        interval = Interval(counters={f"name{number}": 1.0 for number in range(2000)})
        store.commit(CommitBatch(counts=[counts("L1")], pieces=[Piece("L1", 0, 8, encode(interval))]))
        store.close()
        content = bytearray(self.path.read_bytes())
        content[4096 * 4 : 4096 * 6] = b"\x5a" * 8192
        self.path.write_bytes(content)
        self.assert_refused("damaged")

    def test_a_damaged_row(self) -> None:
        """A row that does not make sense is reported as damage, not as an exception of its decoder."""
        for statement in (
            "INSERT INTO totals VALUES ('lines', '{', 1)",
            "INSERT INTO ledgers VALUES ('L1', 0, 'boot', 0, 'live', '[')",
        ):
            with self.subTest(statement=statement):
                self.path.unlink(missing_ok=True)
                self.open().close()
                with closing(sqlite3.connect(self.path)) as other, other:
                    other.execute(statement)
                self.assert_refused("damaged")

    def test_a_damaged_page(self) -> None:
        """The series of a damaged page of numbers begin again, and are not taken for idle; the fault is counted."""
        store = self.open()
        piece = Piece("L1", 0, 8, encode(Interval(counters={"a": 5.0, "b": 1.0})))
        store.commit(CommitBatch(counts=[counts("L1")], pieces=[piece]))
        store.close()
        with closing(sqlite3.connect(self.path)) as other, other:
            other.execute("UPDATE pages SET payload = x'00'")
        snapshot = self.open().commit(CommitBatch())
        self.assertEqual(({"a": 0.0, "b": 0.0}, 0), (values(snapshot.counters), snapshot.stats.expired))
        self.assertEqual(1, snapshot.stats.faults["damaged"])

    def test_a_directory_in_the_way(self) -> None:
        """A directory under the file's name is named as the cause."""
        self.path.mkdir()
        self.assert_refused("it is a folder")

    def test_a_missing_folder(self) -> None:
        """A missing folder is named as the cause."""
        self.path = self.path.parent / "absent" / "store.db"
        self.assert_refused("there is no folder for it")

    def test_the_file_is_marked(self) -> None:
        """The file says in its header whose it is, and keeps a write-ahead log."""
        self.open()
        other = sqlite3.connect(self.path)
        self.addCleanup(other.close)
        self.assertEqual(other.execute("PRAGMA application_id").fetchone(), (APPLICATION_ID,))
        self.assertEqual(other.execute("PRAGMA journal_mode").fetchone(), ("wal",))

    def test_a_failed_commit_can_be_repeated(self) -> None:
        """While another process holds the lock a commit changes nothing; given again it counts once."""
        store = self.open()
        store._connection.execute("PRAGMA busy_timeout = 0")
        before = store.commit(CommitBatch(counts=[counts("L1", accepted=1)]))
        other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(other.close)
        other.execute("BEGIN IMMEDIATE")
        interval = Interval(counters={"a": 1.0}, times={"t": came({1.0: 1.0})})
        batch = CommitBatch(
            counts=[counts("L1", accepted=5)], pieces=[Piece("L1", 0, 8, encode(interval))], folded=["L1"]
        )
        error = self.assertRaises(StoreError, store.commit, batch)
        self.assertIn("locked", str(error))
        self.assertIs(store.snapshot, before)
        other.execute("ROLLBACK")
        snapshot = store.commit(batch)
        self.assertEqual(total(snapshot, "accepted"), 5)
        self.assertEqual(values(snapshot.counters), {"a": 1.0})
        self.assertEqual(values(snapshot.times), {"t": 1.0})

    def test_a_full_disk(self) -> None:
        """When the file cannot grow the error says so; the same batch goes in once there is room."""
        store = self.open()
        store.commit(CommitBatch(counts=[counts("L1")]))
        pages = store._connection.execute("PRAGMA page_count").fetchone()[0]
        store._connection.execute(f"PRAGMA max_page_count = {pages}")
        names = [f"series.with.a.long.name.{number}" for number in range(1000)]
        piece = Piece("L1", 0, 8, encode(Interval(counters=dict.fromkeys(names, 1.0))))
        batch = CommitBatch(counts=[counts("L1", accepted=1)], pieces=[piece])
        error = self.assertRaises(StoreError, store.commit, batch)
        self.assertIn("full", str(error))
        self.assertEqual(len(store.snapshot.counters), 0)
        store._connection.execute("PRAGMA max_page_count = 100000")
        snapshot = store.commit(batch)
        self.assertEqual((len(snapshot.counters), total(snapshot, "accepted")), (1000, 1))
        store.close()
        self.assertEqual(len(self.open().snapshot.counters), 1000)
