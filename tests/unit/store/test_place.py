"""The store's files are taken away or cut off while it is open: all is put back, or nothing more is committed."""

from __future__ import annotations

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from statsd_tcp.store.database import Store
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.place import MOST_FOUND
from statsd_tcp.store.snapshot import Snapshot
from tests.unit.store.cases import FlushTestCase, hits, values


class PlaceTestCase(FlushTestCase):
    """A store with some commits."""

    def setUp(self) -> None:
        """Commit something, so that part of it is in the write-ahead log."""
        super().setUp()
        self.store: Store = self.open_with()
        for number in (1, 2, 4):
            self.commit(self.store, hits(number))
        self.companions = [self.path.with_name(self.path.name + end) for end in ("-wal", "-shm")]

    def reopened(self) -> Snapshot:
        """Close the store and open it again; give what the file says."""
        self.store.close()
        self.store = self.open_with()
        return self.store.snapshot

    def check(self) -> None:
        """Check that the next commits and the next start have everything, in a whole file."""
        self.assertEqual({"hits": 15.0}, values(self.commit(self.store, hits(8)).counters))
        self.assertTrue(self.path.exists())
        self.commit(self.store, hits(16))
        self.assertEqual({"hits": 31.0}, values(self.reopened().counters))
        with closing(sqlite3.connect(self.path)) as connection:
            damage = connection.execute("PRAGMA integrity_check").fetchone()
        self.assertEqual(("ok",), damage)
        self.assertEqual(self.offset, self.store.snapshot.ledgers["L1"].committed)

    def refused(self, words: str) -> None:
        """Check that nothing is committed, and why."""
        before = self.offset
        self.assertIn(words, str(self.assertRaises(StoreError, self.commit, self.store, hits(8))))
        self.offset = before


class PlaceTests(PlaceTestCase):
    """Files of the store that are taken away or replaced while it is open."""

    def test_deleted(self) -> None:
        """The file alone is deleted; what its log holds is not applied to the new one."""
        self.path.unlink()
        self.check()

    def test_all_deleted(self) -> None:
        """The file is deleted with its companions."""
        for path in (self.path, *self.companions):
            path.unlink()
        self.check()

    def test_moved(self) -> None:
        """The file is moved away; it is not touched again."""
        aside = self.path.with_name("aside")
        self.path.rename(aside)
        content = aside.read_bytes()
        self.check()
        self.assertEqual(content, aside.read_bytes())

    def replace(self, path: Path, content: bytes) -> None:
        """Put another program's file in the place of one of ours."""
        other = path.with_name("x")
        other.write_bytes(content)
        other.rename(path)

    def found(self, number: int, part: str = "") -> Path:
        """Return the name under which what was found is kept."""
        return self.path.with_name(f"{self.path.name}.found-{number}{part}")

    def test_another_one(self) -> None:
        """Another file in its place is kept under another name; our own log is not taken for its."""
        content = self.path.read_bytes()
        self.replace(self.path, content)
        self.check()
        self.assertEqual(content, self.found(1).read_bytes())
        self.assertFalse(self.found(1, "-wal").exists())

    def test_others_with_their_logs(self) -> None:
        """What was found is kept with its log, and nothing that was kept before is overwritten."""
        for number in (1, 2, 3):
            self.replace(self.path, b"file %d" % number)
            self.replace(self.companions[0], b"log %d" % number)
            self.commit(self.store, hits(0))
        self.assertEqual({"missing": 6, "shrunk": 0, "damaged": 0}, self.store.snapshot.stats.faults)
        self.found(4, "-wal").touch()
        self.replace(self.path, b"file 4")
        self.check()
        for number in (1, 2, 3):
            kept = [self.found(number, part).read_bytes() for part in ("", "-wal")]
            self.assertEqual([b"file %d" % number, b"log %d" % number], kept)
        self.assertEqual(b"file 4", self.found(5).read_bytes())

    def test_a_link(self) -> None:
        """A link in its place is kept as well, wherever it leads to."""
        self.path.unlink()
        self.path.symlink_to("nowhere")
        self.check()
        self.assertEqual("nowhere", str(self.found(1).readlink()))

    def test_too_many(self) -> None:
        """When very many were found already nothing is committed until there is room for the next."""
        for number in range(1, MOST_FOUND + 1):
            self.found(number).touch()
        self.replace(self.path, b"mine")
        self.refused(f"there are {self.path.name}.found-1 to -{MOST_FOUND} already; move them away")
        self.assertEqual(b"mine", self.path.read_bytes())
        self.found(7).unlink()
        self.check()
        self.assertEqual(b"mine", self.found(7).read_bytes())

    def test_it_cannot_be_put_back(self) -> None:
        """As long as the file cannot be put back commits fail, and say why; then everything is there, once."""
        folder = self.path.parent
        hidden = folder.with_name(f"{folder.name}.hidden")
        folder.rename(hidden)
        self.addCleanup(shutil.rmtree, hidden, ignore_errors=True)
        for _ in range(2):
            self.refused(str(self.path))
        folder.mkdir()
        self.check()

    def test_not_taken_away(self) -> None:
        """A file that is where it was is not copied."""
        inode = self.path.stat().st_ino
        self.check()
        self.assertEqual(inode, self.path.stat().st_ino)

    def test_the_log_deleted(self) -> None:
        """Its log or the log's index is deleted; the file itself is not enough then."""
        for path in self.companions:
            path.unlink()
            self.commit(self.store, hits(0))
        self.check()


class CutTests(PlaceTestCase):
    """Files of the store that become shorter while it is open."""

    def grow(self) -> None:
        """Have some pages in the file itself."""
        self.store._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
        self.commit(self.store, hits(0))

    def test_cut_off(self) -> None:
        """Whichever is cut off, by how much: the store is put back from what is open, said and counted."""
        self.grow()
        cases = [(path, part) for path in (self.path, self.companions[0]) for part in (0.0, 0.5, 0.99)]
        for number, (path, part) in enumerate(cases, 1):
            with self.subTest(path=path.name, part=part):
                os.truncate(path, int(path.stat().st_size * part))
                stats = self.commit(self.store, hits(0)).stats
                self.assertEqual({"missing": 0, "shrunk": number, "damaged": 0}, stats.faults)
                self.grow()
        self.check()
        self.assertEqual({self.path, *self.companions}, set(self.path.parent.iterdir()))

    def test_the_index_cut_off(self) -> None:
        """The log's index, which is mapped, is made again before it is touched."""
        os.truncate(self.companions[1], 0)
        # Otherwise this process would end in a SIGBUS.
        self.assertEqual({"missing": 0, "shrunk": 1, "damaged": 0}, self.commit(self.store, hits(0)).stats.faults)
        self.check()

    def test_log_and_index_cut_off(self) -> None:
        """Without the log the index cannot be made again, and what is open is of no use."""
        for path in self.companions:
            os.truncate(path, 0)
        self.refused("(the log and its index are both cut off); stop the service")

    def test_what_is_gone(self) -> None:
        """When a part of it is neither in a file nor in memory nothing more is committed, and it is tried once."""
        for cut in (self.path, self.companions[0]):
            with self.subTest(cut=cut.name):
                self.store.close()
                self.path.unlink()
                self.offset = 0
                self.store = self.open_with()
                self.commit(self.store, hits(1))
                self.grow()
                self.store._connection.execute("PRAGMA shrink_memory")
                os.truncate(cut, 4000)
                self.refused(f"{cut} was cut off, and what is open cannot be put back")
                self.patch(self.store._place, "_save", None)
                self.refused("stop the service and restore a backup")
                self.assertEqual(1, self.store._place.faults["shrunk"])

    def test_a_long_value(self) -> None:
        """The end of a long value that is lost is noticed, although SQLite itself reads it as zeros."""
        connection = self.store._connection
        connection.execute("INSERT INTO slot_results VALUES (1, ?)", (b"x" * 5000,))
        self.grow()
        connection.execute("PRAGMA shrink_memory")
        os.truncate(self.path, self.path.stat().st_size - 4096)
        self.refused("pages are missing")

    def test_rightly_shorter(self) -> None:
        """What SQLite itself cuts off, in a checkpoint that truncates or after a VACUUM, is no fault."""
        connection = self.store._connection
        connection.execute("INSERT INTO slot_results VALUES (1, ?)", (b"x" * 1_000_000,))
        self.commit(self.store, hits(0))
        inode = self.path.stat().st_ino
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            for path, statements in ((self.companions[0], []), (self.path, ["DELETE FROM slot_results", "VACUUM"])):
                size = path.stat().st_size
                for statement in (*statements, "PRAGMA wal_checkpoint(TRUNCATE)"):
                    other.execute(statement)
                self.assertLess(path.stat().st_size, size)
                self.commit(self.store, hits(0))
        self.check()
        self.assertEqual(
            (inode, {"missing": 0, "shrunk": 0, "damaged": 0}), (self.path.stat().st_ino, self.store._place.faults)
        )

    def test_the_log_again_from_its_beginning(self) -> None:
        """A log that is used again from its beginning is no cut-off one."""
        for _ in range(3):
            self.store._connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
            self.commit(self.store, hits(0))
        self.assertEqual({"missing": 0, "shrunk": 0, "damaged": 0}, self.store.snapshot.stats.faults)
