"""``statscounter store`` over state directories made for the purpose."""

from __future__ import annotations

import contextlib
import io
import json
import os
import shutil
import sqlite3
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.commands.main import main
from statsd_tcp.commands.store.reading import StoreReader, open_reader
from statsd_tcp.ledger.cells import JOURNAL_HEAD, JOURNAL_RELEASED, ledger_cells
from statsd_tcp.ledger.file import LedgerMap, create_ledger
from statsd_tcp.ledger.layout import CellName, Directory, LedgerCounts
from statsd_tcp.state.folder import LEDGERS, STORE
from statsd_tcp.store.batch import CommitBatch, Piece
from statsd_tcp.store.database import Store
from statsd_tcp.store.errors import StoreError
from statsd_tcp.store.rows import Part, Row, encode_row

BOOT = "00" * 16


class StoreCommandTests(SynchronousTestCase):
    """The actions, and what they answer to a folder that is not as it should be."""

    def setUp(self) -> None:
        """Make a state directory with one ended worker's counts and two series."""
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        (self.folder / LEDGERS).mkdir()
        values = {CellName("accepted", "tcp:1"): 3, CellName("closed", "tcp:1", "eof"): 3}
        interval = Interval(counters={"hits\nhost\ta".replace("\t", "\n"): 5.0}, gauges={"temp": [(1, False, 20.5)]})
        store = Store(self.folder / STORE)
        store.commit(
            CommitBatch(
                counts=[LedgerCounts("aa", 0, BOOT, values)],
                pieces=[Piece("aa", 0, 64, encode(interval))],
                folded=["aa"],
            )
        )
        store.close()

    def run_command(self, *action: str) -> tuple[int, str, str]:
        """Run one action; give its exit status, and what it wrote to both streams."""
        out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(["store", *action, "--state-dir", str(self.folder)])
        out.seek(0)
        return status, out.read(), err.getvalue()

    def change(self, statement: str, *values: object) -> None:
        """Change the store behind the service's back."""
        with contextlib.closing(sqlite3.connect(self.folder / STORE)) as connection:
            connection.execute(statement, values)
            connection.commit()

    def leave_log(self, series: str) -> None:
        """Leave the folder as a service does that is killed after a commit."""
        killed = self.folder.with_name(f"{self.folder.name}-killed")
        self.addCleanup(shutil.rmtree, killed, ignore_errors=True)
        with contextlib.closing(Store(self.folder / STORE)) as store:
            counts = LedgerCounts("bb", 0, BOOT, {})
            store.commit(
                CommitBatch(counts=[counts], pieces=[Piece("bb", 0, 8, encode(Interval(counters={series: 1.0})))])
            )
            shutil.copytree(self.folder, killed)
        shutil.rmtree(self.folder)
        killed.rename(self.folder)

    def files(self) -> dict[str, tuple[int, int, int, bytes]]:
        """Return all that can be known of the store's files."""
        files = sorted(self.folder.glob(f"{STORE}*"))
        found = {path.name: (path.stat(), path.read_bytes()) for path in files}
        return {
            name: (status.st_ino, status.st_mode, status.st_mtime_ns, data) for name, (status, data) in found.items()
        }

    def make_ledger(self) -> LedgerMap:
        """Make a ledger file as a worker would have it."""
        directory = Directory(ledger_cells(["tcp:1"]), [("tcp:1", "etsy")])
        path = create_ledger(
            self.folder / LEDGERS, 0, directory, created=1, boot_id=bytes.fromhex(BOOT), ring_size=4096
        )
        descriptor = os.open(path, os.O_RDWR)
        self.addCleanup(os.close, descriptor)
        return LedgerMap(descriptor, str(path), writable=True)

    def test_info(self) -> None:
        """Info counts what is there."""
        status, out, _ = self.run_command("info")
        self.assertEqual(0, status)
        self.assertIn("1 counters, 1 gauges", out)
        self.assertIn("aa of worker 0, folded, 64 bytes committed", out)

    def test_export(self) -> None:
        """Export gives every total and series as one JSON object in a line."""
        status, out, _ = self.run_command("export")
        records = [json.loads(line) for line in out.splitlines()]
        for record in records:
            record.pop("updated", None)
        self.assertEqual(0, status)
        self.assertIn({"series": "hits", "tags": {"host": "a"}, "type": "c", "value": 5.0}, records)
        self.assertIn({"series": "temp", "tags": {}, "type": "g", "value": 20.5}, records)
        labels = {"listener": "tcp:1", "worker": "0"}
        self.assertIn({"total": "accepted", "labels": labels, "value": 3}, records)

    def test_whole(self) -> None:
        """An untouched store is whole, also with a ledger of a living worker next to it."""
        self.make_ledger()
        self.assertEqual((0, f"{self.folder / STORE}: whole\n", ""), self.run_command("check"))

    def test_nothing_changes(self) -> None:
        """Whatever is read, the files stay what they were, and none comes to them."""
        before = self.files()
        self.assertEqual([STORE], list(before))
        for action in ("info", "check", "export"):
            self.assertEqual(0, self.run_command(action)[0])
        self.assertEqual(0, self.run_command("backup", str(self.folder / "backup"))[0])
        self.assertEqual(0, self.run_command("export", "--format", "0.1", str(self.folder / "old"))[0])
        self.assertEqual(before, self.files())

    def test_nothing_changes_after_a_kill(self) -> None:
        """What a killed service left is read with its log, and stays as it is."""
        self.leave_log("late")
        before = self.files()
        self.assertEqual([STORE, f"{STORE}-shm", f"{STORE}-wal"], list(before))
        self.assertEqual((0, f"{self.folder / STORE}: whole\n", ""), self.run_command("check"))
        self.assertIn('"series":"late"', self.run_command("export")[1])
        self.assertEqual(0, self.run_command("backup", str(self.folder / "backup"))[0])
        self.assertEqual(0, self.run_command("export", "--format", "0.1", str(self.folder / "old"))[0])
        self.assertEqual(before, self.files())

    def test_changed_meanwhile(self) -> None:
        """What was read of files that were written meanwhile is not trusted."""
        with self.assertRaises(StoreError) as raised, open_reader(self.folder / STORE):
            self.change("DELETE FROM rows")
        self.assertEqual(f"{self.folder / STORE} was changed while it was read; try again", str(raised.exception))

    def test_backup(self) -> None:
        """A backup is a store like the one that it is of, and says so."""
        file = self.folder / "backup"
        status, out, err = self.run_command("backup", str(file))
        size = f"{file.stat().st_size:,} bytes"
        self.assertEqual((0, f"{file}: backup of {self.folder / STORE}, {size}\n", ""), (status, out, err))
        exported = self.run_command("export")
        file.replace(self.folder / STORE)
        self.assertEqual(exported, self.run_command("export"))
        self.assertEqual(0, self.run_command("check")[0])
        self.assertIn("backup of", self.run_command("info")[1])

    def test_no_second_backup(self) -> None:
        """A file that is there is not written to."""
        file = self.folder / "backup"
        file.write_text("precious")
        answer = self.run_command("backup", str(file))
        self.assertEqual((2, "", f"statscounter store: {file} exists already; it is left as it is\n"), answer)
        self.assertEqual("precious", file.read_text())

    def test_the_file_of_a_backup(self) -> None:
        """A backup needs a file, and nothing else takes one; options may stand anywhere."""
        for action, complaint in (("backup",), "FILE"), (("check", "file"), "file"):
            status, _, err = self.run_command(*action)
            self.assertEqual((64, 1), (status, err.count("\n")))
            self.assertIn(complaint, err)
        folder, file = str(self.folder), str(self.folder / "backup")
        with contextlib.redirect_stdout(io.StringIO()):
            self.assertEqual(0, main(["store", "--state-dir", folder, "check"]))
            self.assertEqual(0, main(["store", "backup", "--state-dir", folder, file]))

    def test_export_for_the_old_release(self) -> None:
        """A store for release 0.1.0 is made next to what is there; what that cannot hold is said in one line."""
        self.change("INSERT INTO owners VALUES ('hits', 'hits', 'c', 5.0)")
        file, before = self.folder / "old", self.files()
        status, out, err = self.run_command("export", "--format", "0.1", str(file))
        size = f"{file.stat().st_size:,} bytes"
        self.assertEqual((0, f"{file}: store for release 0.1.0 made of {self.folder / STORE}, {size}\n"), (status, out))
        words = "left out: the owners of names on /metrics (1); there the first that came has a name"
        self.assertEqual(f"statscounter store: {words}\n", err)
        self.assertEqual(before, self.files())
        answer = self.run_command("export", "--format=0.1", str(file))
        self.assertEqual((2, "", f"statscounter store: {file} exists already; it is left as it is\n"), answer)

    def test_export_of_damage(self) -> None:
        """What is damaged is named, and the status is that of damage."""
        self.change("INSERT INTO rows VALUES (3, x'0000000000')")
        file = self.folder / "old"
        status, _, err = self.run_command("export", "--format", "0.1", str(file))
        fault = f"{self.folder / STORE} is damaged, and {file} lacks this: row 3: a checksum is wrong"
        self.assertEqual((1, f"statscounter store: {fault}\n"), (status, err))

    def test_format_and_file(self) -> None:
        """A format needs a file and a file a format, and there is one format."""
        for options in (("--format", "0.1"), ("old",), ("--format", "0.2", "old")):
            status, _, err = self.run_command("export", *options)
            self.assertEqual((64, 1), (status, err.count("\n")))
            self.assertIn("--format", err)

    def test_of_the_old_release(self) -> None:
        """A store of release 0.1.0 is named as such, with what becomes of it."""
        file = self.folder / "old"
        self.assertEqual(0, self.run_command("export", "--format", "0.1", str(file))[0])
        file.replace(self.folder / STORE)
        says = f"{self.folder / STORE} is a store of release 0.1.0: this version takes it over when the service starts"
        for action in (("info",), ("check",), ("export",), ("backup", str(file))):
            self.assertEqual((2, "", f"statscounter store: {says}\n"), self.run_command(*action))

    def test_backup_of_damage(self) -> None:
        """Of a damaged store no backup is made."""
        file = self.folder / STORE
        data = bytearray(file.read_bytes())
        data[-4096:] = b"x" * 4096
        file.write_bytes(data)
        status, _, err = self.run_command("backup", str(self.folder / "backup"))
        self.assertEqual((2, 1), (status, err.count("\n")))
        self.assertIn(f"{file} is damaged", err)
        self.assertFalse((self.folder / "backup").exists())

    def test_let_go(self) -> None:
        """What was let go of can still be given, and no more keeps the log of a service from being used again."""
        path = self.folder / STORE
        with (
            contextlib.closing(Store(path)),
            contextlib.closing(sqlite3.connect(path, isolation_level=None)) as looking,
        ):
            looking.execute("BEGIN")
            reader = StoreReader(looking, path)
            reader.let_go()
            self.change("UPDATE totals SET value = value + 1")
            with contextlib.closing(sqlite3.connect(path)) as other:
                self.assertEqual((0, 0, 0), other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone())
            self.assertEqual(["hits", "temp"], [line.name for line in reader.series()])

    def test_sums(self) -> None:
        """More connections closed than accepted is a finding."""
        self.change("UPDATE totals SET value = 4 WHERE metric = 'closed'")
        status, out, _ = self.run_command("check")
        self.assertEqual((1, "listener tcp:1: 3 connections accepted, but 4 closed\n"), (status, out))

    def test_twice(self) -> None:
        """A series that is there twice is a finding."""
        part = Part("g", fresh=bytes((1, 0, 0, 0)), ids=bytes((99, *[0] * 7)), identities=["temp"])
        self.change("INSERT INTO rows VALUES (3, ?)", encode_row(Row(0.0, 0.0, 100, [part]), 3))
        status, out, _ = self.run_command("check")
        self.assertEqual((1, f"{self.folder / STORE}: series 'temp' of kind g: it is there twice\n"), (status, out))

    def test_ledger_offsets(self) -> None:
        """A ledger that gave back more of its journal than it wrote is a finding."""
        ledger = self.make_ledger()
        ledger.cells[JOURNAL_HEAD], ledger.cells[JOURNAL_RELEASED] = 8, 16
        status, out, _ = self.run_command("check")
        self.assertEqual((1, f"{ledger.path}: released up to 16, but written only up to 8\n"), (status, out))

    def test_damaged_ledger(self) -> None:
        """A file that is no ledger is a finding."""
        path = self.folder / LEDGERS / "x.ledger"
        path.write_bytes(b"no ledger")
        status, out, _ = self.run_command("check")
        self.assertEqual((1, f"{path} is not a ledger\n"), (status, out))

    def test_damaged_pages(self) -> None:
        """A store with damaged pages is never called whole."""
        file = self.folder / STORE
        data = bytearray(file.read_bytes())
        data[4096:] = bytes(len(data) - 4096)
        file.write_bytes(data)
        status, _, _ = self.run_command("check")
        self.assertIn(status, (1, 2))

    def test_missing(self) -> None:
        """Without a store there is one line that says which file is missing, and status 2."""
        (self.folder / STORE).unlink()
        status, out, err = self.run_command("info")
        self.assertEqual((2, ""), (status, out))
        self.assertEqual(1, err.count("\n"))
        self.assertIn(f"{self.folder / STORE} does not exist", err)

    def test_foreign(self) -> None:
        """Another program's database is refused."""
        self.change("PRAGMA application_id = 7")
        self.assertEqual(2, self.run_command("export")[0])
