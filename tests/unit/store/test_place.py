"""The store's file is taken away while it is open: it is put back with all that it had, or nothing is committed."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

from statsd_tcp.store.database import Store
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.snapshot import Snapshot
from tests.unit.store.cases import FlushTestCase, hits, values


class PlaceTests(FlushTestCase):
    """A store with some commits, whose file goes."""

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

    def test_another_one(self) -> None:
        """Another file in its place is kept under another name."""
        copy = self.path.with_name("x")
        shutil.copyfile(self.path, copy)
        copy.rename(self.path)
        content = self.path.read_bytes()
        self.check()
        self.assertEqual(content, self.path.with_name(f"{self.path.name}.found").read_bytes())

    def test_it_cannot_be_put_back(self) -> None:
        """As long as the file can't be put back commits fail, and say why; then everything is there, once."""
        folder = self.path.parent
        hidden = folder.with_name(f"{folder.name}.hidden")
        folder.rename(hidden)
        self.addCleanup(shutil.rmtree, hidden, ignore_errors=True)
        before = self.offset
        for _ in range(2):
            text = str(self.assertRaises(StoreError, self.commit, self.store, hits(8)))
            self.assertIn(str(self.path), text)
            self.offset = before
        folder.mkdir()
        self.check()

    def test_not_taken_away(self) -> None:
        """A file that is where it was is not copied."""
        inode = self.path.stat().st_ino
        self.check()
        self.assertEqual(inode, self.path.stat().st_ino)
