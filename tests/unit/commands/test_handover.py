"""``statscounter store absorb`` and ``retire``: what is checked before a store is handed over."""

from __future__ import annotations

import contextlib
import fcntl
import io
import shutil
import sqlite3
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.aggregate.encoding import encode
from statsd_tcp.aggregate.interval import Interval
from statsd_tcp.commands.main import main
from statsd_tcp.commands.store.reading import open_reader
from statsd_tcp.commands.store.told import lines_of
from statsd_tcp.ledger.layout import LedgerCounts
from statsd_tcp.state.folder import LEDGERS, LOCK, STORE
from statsd_tcp.store.batch import CommitBatch, Piece
from statsd_tcp.store.database import Store
from statsd_tcp.store.frozen import COUNTS, LEVEL, Bounds, Known, Queue
from statsd_tcp.store.handover import Line
from statsd_tcp.store.identity import identity_of
from statsd_tcp.store.leaving import Stage, enter_leaving


class HandoverTests(SynchronousTestCase):
    """Two state folders: the node a has ended, and b is to go on."""

    def setUp(self) -> None:
        """Make both."""
        self.top = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.top)
        for name in "ab":
            self.make(name)

    def make(self, name: str) -> None:
        """Make a state folder."""
        (self.top / name / LEDGERS).mkdir(parents=True)
        with contextlib.closing(self.store(name)) as store:
            news = Interval(counters={"hits": 5.0}, gauges={"level": [(1, False, 20.5)]})
            store.commit(
                CommitBatch(
                    counts=[LedgerCounts("aa", 0, "00", {})], pieces=[Piece("aa", 0, 8, encode(news))], folded=["aa"]
                )
            )

    def store(self, name: str) -> Store:
        """Open a store."""
        return Store(self.top / name / STORE, node=name)

    def add_output(self, node: str, name: str = "o", last: int = 1000) -> None:
        """Have an output have told something."""
        queue = Queue(name, Bounds(9, 1 << 20), {"node": node}, "_total")
        with contextlib.closing(self.store(node)) as store:
            store.change(lambda connection: queue.load(connection, [name]))
            known = Known(last, 0, 0, {"own ": LEVEL, "own_total ": COUNTS})
            store.change(lambda connection: queue.put(connection, Known(), known, []))

    def run_command(self, *action: str, other: str = "") -> tuple[int, str]:
        """Run an action; give its exit status, and what it wrote."""
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            status = main(["store", "--state-dir", str(self.top / "b"), *action, other or str(self.top / "a")])
        return status, out.getvalue()

    def assert_refused(self, said: str, *more: str, other: str = "") -> None:
        """Check that it is refused, and that nothing was written."""
        status, written = self.run_command("absorb", *more, other=other)
        self.assertEqual(status, 2, written)
        self.assertIn(said, written)
        self.assertEqual(written.count("\n"), 1)
        self.assertEqual(list((self.top / "b").glob("absorb/*")), [])

    def heir(self, file: Path) -> str:
        """Return to whom a store was handed over."""
        with contextlib.closing(sqlite3.connect(file)) as connection:
            identity = identity_of(connection)
        assert identity
        return identity.heir

    def test_handed_over(self) -> None:
        """The store is marked, and a copy waits for the heir; it says so, and to repeat it is refused."""
        status, written = self.run_command("absorb")
        self.assertEqual(status, 0, written)
        self.assertIn("of the node a is added at the next start or reload (HUP) of the node b", written)
        (copy,) = (self.top / "b" / "absorb").iterdir()
        self.assertEqual(copy.stat().st_mode & 0o777, 0o600)
        with contextlib.closing(self.store("b")) as store:
            self.assertEqual(self.heir(self.top / "a" / STORE), store.identity.uuid)
        status, written = self.run_command("absorb")
        self.assertEqual(status, 2)
        self.assertIn("waits already", written)
        # As after a crash between the mark and the copy.
        copy.unlink()
        self.assertEqual(self.run_command("retire")[0], 0)

    def test_file(self) -> None:
        """A store's file will do, wherever it is."""
        moved = self.top / "x.sqlite"
        (self.top / "a" / STORE).rename(moved)
        self.assertEqual(self.run_command("absorb", other=str(moved))[0], 0)
        self.assertTrue(self.heir(moved))

    def test_itself(self) -> None:
        """A store is not added to itself, nor a copy of it."""
        shutil.copy(self.top / "b" / STORE, self.top / "x.sqlite")
        self.assert_refused("is the store of the node b itself, or a copy of it", other=str(self.top / "x.sqlite"))

    def test_running(self) -> None:
        """A node whose service runs is not handed over."""
        with (self.top / "a" / LOCK).open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            self.assert_refused("is in use: stop its service first")

    def test_elsewhere(self) -> None:
        """What another node has is not handed over."""
        with contextlib.closing(self.store("a")) as store:
            store.change(lambda connection: connection.execute("UPDATE identity SET heir = 'c'"))
        self.assert_refused("was handed over to the store c before; it counts once")

    def test_journals(self) -> None:
        """What is in journals is not left out, unless that is asked for."""
        with contextlib.closing(self.store("a")) as store:
            store.commit(CommitBatch(counts=[LedgerCounts("bb", 0, "00", {})], pieces=[]))
        self.assert_refused("lacks what is in journals: start its service and stop it once")
        self.assertEqual(self.run_command("absorb", "--without-journals")[0], 0)

    def test_outputs(self) -> None:
        """An output that the heir does not have is named."""
        self.add_output("a")
        self.assert_refused("o: the node that is to go on has no such output")
        self.add_output("b")
        self.assertEqual(self.run_command("absorb")[0], 0)

    def test_offline(self) -> None:
        """That may be accepted."""
        self.add_output("a")
        self.assertEqual(self.run_command("absorb", "--offline")[0], 0)

    def test_clock(self) -> None:
        """What was sent with a time of the future has to pass first."""
        for node in "ab":
            self.add_output(node, last=1 << 42)
        self.assert_refused("ahead of our clock; wait until then")

    def test_unfinished(self) -> None:
        """A node that is in the middle of ending another one's series has to do that first, but not to repeat it."""
        for node in "ab":
            self.add_output(node)
        with contextlib.closing(self.store("a")) as store:
            store.change(lambda connection: enter_leaving(connection, "o", "x", "{}", [("y ", True)]))
        self.assert_refused("have not ended the series of a node that it has absorbed")
        with contextlib.closing(self.store("a")) as store:
            store.change(lambda connection: connection.execute("UPDATE remote_leaving SET stage = ?", (Stage.ENDED,)))
        self.assertEqual(self.run_command("absorb")[0], 0)

    def test_damaged(self) -> None:
        """A damaged store is not handed over."""
        with contextlib.closing(sqlite3.connect(self.top / "a" / STORE)) as connection:
            connection.execute("UPDATE rows SET payload = x'00'")
            connection.commit()
        self.assert_refused("is damaged")

    def test_missing(self) -> None:
        """A store that is not there is named."""
        self.assert_refused("x cannot be opened: No such file or directory", other=str(self.top / "x"))

    def test_lines(self) -> None:
        """The lines of an output are those of its page, and those of the service that it told."""
        self.add_output("a")
        with open_reader(self.top / "a" / STORE) as reader:
            found = set(lines_of(reader))
        self.assertEqual(
            found,
            {
                *(Line("o", "own ", False), Line("o", "own_total ", True)),
                *(Line("o", "hits_total ", True), Line("o", "level ", False)),
            },
        )

    def test_info(self) -> None:
        """``info`` shows who a store is, and to whom it was handed over."""
        self.run_command("absorb")
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            main(["store", "info", "--state-dir", str(self.top / "a")])
        heir = self.heir(self.top / "a" / STORE)
        self.assertIn(heir, out.getvalue())
        self.assertIn("handed over to", out.getvalue())
