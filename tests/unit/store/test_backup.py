"""A backup is the whole store in one file, which a store can be made of again."""

from __future__ import annotations

import sqlite3
import stat
from contextlib import closing

from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.store.backup import taken_at, write_backup
from statsd_tcp.store.batch import CommitBatch, Piece
from statsd_tcp.store.database import Store
from statsd_tcp.store.errors import StoreError
from tests.unit.store.cases import FlushTestCase, StoreTestCase, counts, hits, total, values

TAKEN = 1_700_000_000.5


class BackupTests(StoreTestCase):
    """Backups of a store that goes on."""

    def setUp(self) -> None:
        """Open a store with something in it."""
        super().setUp()
        self.store = self.open()
        self.commit(3)
        self.folder = self.path.parent
        self.file = self.folder / "backup"

    def commit(self, connections: int) -> None:
        """Commit what a worker has, and a hit more."""
        known = self.store.snapshot.ledgers.get("aa")
        at = 0 if known is None else known.committed
        piece = Piece("aa", at, at + 8, encode(hits(1)))
        self.store.commit(CommitBatch(counts=[counts("aa", accepted=connections)], pieces=[piece]))

    def back_up(self) -> None:
        """Make a backup, through a connection of its own."""
        with closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, isolation_level=None)) as source:
            write_backup(source, self.file, TAKEN)

    def names(self) -> list[str]:
        """List what is in the folder next to the store's own files."""
        return sorted(path.name for path in self.folder.iterdir() if not path.name.startswith(self.path.name))

    def test_a_store_again(self) -> None:
        """It has what was committed before it, and not what came later."""
        self.back_up()
        self.commit(4)
        with closing(Store(self.file)) as store:
            snapshot = store.commit(CommitBatch())
        self.assertEqual(({"hits": 1.0}, 3), (values(snapshot.counters), total(snapshot, "accepted")))

    def test_the_file(self) -> None:
        """It is one file, for its owner alone, and nothing else is left."""
        self.back_up()
        self.assertEqual(["backup"], self.names())
        self.assertEqual(0o600, stat.S_IMODE(self.file.stat().st_mode))

    def test_something_is_there(self) -> None:
        """What has the name already is left as it is, be it a link that leads nowhere."""
        self.file.symlink_to("nowhere")
        with self.assertRaises(StoreError) as raised:
            self.back_up()
        self.assertEqual(f"{self.file} exists already; it is left as it is", str(raised.exception))
        self.assertEqual((["backup"], "nowhere"), (self.names(), str(self.file.readlink())))

    def test_no_folder(self) -> None:
        """Without a folder for it there is one line that names the file."""
        self.file = self.folder / "none" / "backup"
        with self.assertRaises(StoreError) as raised:
            self.back_up()
        self.assertEqual(f"{self.file} cannot be made: No such file or directory", str(raised.exception))

    def test_the_mark(self) -> None:
        """Until the first commit the store knows that it was a backup, whatever was tried before; then it is none."""
        self.back_up()
        for expected in (TAKEN, TAKEN):
            with closing(Store(self.file)) as store:
                self.assertEqual(expected, store.backup_taken)
        with closing(Store(self.file)) as store:
            store.commit(CommitBatch(counts=[counts("bb", accepted=1)]))
            self.assertEqual(None, store.backup_taken)
            store.commit(CommitBatch(counts=[counts("bb", accepted=2)]))
        with closing(sqlite3.connect(self.file)) as connection:
            self.assertEqual(None, taken_at(connection))

    def test_of_a_backup(self) -> None:
        """A backup of a backup says when it was taken itself."""
        self.back_up()
        self.path, self.file = self.file, self.folder / "second"
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute("UPDATE backup SET taken = 1")
            connection.commit()
        self.back_up()
        with closing(sqlite3.connect(self.file)) as connection:
            self.assertEqual(TAKEN, taken_at(connection))


class FlushTests(FlushTestCase):
    """What outputs are sent after a restore."""

    def test_the_open_flush(self) -> None:
        """The flush that was open is sent again with what it had, and what comes from journals is in the one by now."""
        store = self.open_with()
        self.commit(store, hits(1))
        file = self.path.with_name("backup")
        with closing(sqlite3.connect(self.path, isolation_level=None)) as source:
            write_backup(source, file, TAKEN)
        self.commit(store, hits(2))
        self.at(11.5)
        self.commit(store)
        self.assertEqual({0: 3.0}, self.counted(store))
        self.path, self.offset = file, 8
        self.at(3605)
        restored = self.open_with()
        self.commit(restored)
        self.commit(restored, hits(2), recovered=True)
        self.at(3611.5)
        self.commit(restored)
        self.assertEqual({0: 1.0, 3600: 2.0}, self.counted(restored))
