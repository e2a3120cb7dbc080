"""What a worker says that is not understood is read from its journal, and the worker is asked again."""

from __future__ import annotations

import msgspec

from statsd_tcp.commit.replay import Replay
from statsd_tcp.ledger.file import ledger_paths
from statsd_tcp.store.batch import Piece
from statsd_tcp.store.snapshot import LINES, RECOVERED_LINES
from tests.unit.commit.committing import CommitterTestCase, FailingStore
from tests.unit.store.cases import values

ALL = {"hits": 7.0, "only0": 1.0, "only1": 1.0, "only2": 1.0}
"""What `NotUnderstoodTests.spoil_one` has received."""


class NotUnderstoodTests(CommitterTestCase):
    """Answers that are spoilt, alone and among others."""

    def spoilt(self, piece: Piece) -> Piece:
        """Return a piece of which nothing is understood."""
        return msgspec.structs.replace(piece, payload=b"\x04rubbish")

    def spoil_one(self) -> None:
        """Have a worker say three things, of which the second is not understood."""
        for number in range(3):
            self.worker.receive(b"hits:%d|c\nonly%d:1|c\n" % (1 << number, number))
            piece = self.worker.gather_numbered()
            self.committer.add(self.spoilt(piece) if number == 1 else piece)

    def test_not_understood(self) -> None:
        """What a worker says that is not understood is read from its journal; it is asked again, and said once."""
        self.spoil_one()
        self.assertEqual(ALL, self.counters())
        name = self.worker.ledger.ledger_id
        # The third one belongs to a session that is given up.
        self.assertEqual(([name, name], 1), (self.asked_anew, self.committer.not_understood.number))
        (line,) = self.logged
        self.assertTrue(line.startswith(f"what came from the ledger {name} is not understood ("))
        self.worker.receive(b"hits:8|c\n")
        self.committer.add(self.worker.gather_numbered(token=2))
        self.assertEqual((15.0, 4), (self.counters()["hits"], self.total(RECOVERED_LINES)))
        self.worker.receive(b"hits:16|c\n")
        self.committer.add(self.spoilt(self.worker.gather_numbered(token=2)))
        self.assertEqual((31.0, 2), (self.counters()["hits"], self.committer.not_understood.number))
        self.assertEqual(1, len(self.logged))

    def test_silence_behind_it(self) -> None:
        """Its lines are read at once, also when the worker says nothing more."""
        self.worker.receive(b"hits:1|c\n")
        self.committer.add(self.spoilt(self.worker.gather_numbered()))
        self.assertEqual({"hits": 1.0}, self.commit_counters())
        self.assertEqual([(self.worker.ledger.ledger_id, self.worker.journal.head)], self.safe[-1:])

    def test_others_are_not_kept_out(self) -> None:
        """What others say is in the store, and what comes behind it waits until the journal was read."""
        other = self.make_worker(1)
        self.recovery.held = True
        self.spoil_one()
        other.receive(b"b:1|c\n")
        self.committer.add(other.gather_numbered())
        self.assertEqual({"hits": 1.0, "only0": 1.0, "b": 1.0}, self.counters())
        self.worker.receive(b"hits:8|c\n")
        self.committer.add(self.worker.gather_numbered(token=2))
        self.commit()
        self.recovery.release()
        self.assertEqual({**ALL, "hits": 15.0, "b": 1.0}, self.counters())
        self.assertEqual(8, self.total(LINES))

    def test_not_understood_behind_a_gap(self) -> None:
        """Nor is anything lost or counted twice when another piece before it went lost."""
        self.worker.receive(b"hits:1|c\n")
        self.worker.gather_numbered()
        self.worker.receive(b"hits:2|c\n")
        self.recovery.held = True
        self.recovery.piece_bytes = 1
        self.committer.add(self.spoilt(self.worker.gather_numbered()))
        self.commit()
        self.worker.receive(b"hits:4|c\n")
        self.committer.add(self.worker.gather_numbered(token=2))
        self.commit()
        self.recovery.release()
        self.assertEqual({"hits": 7.0}, self.counters())

    def test_last_words(self) -> None:
        """The last message of a worker that ends, which is not understood, is read from its journal."""
        self.worker.receive(b"hits:1|c\n")
        self.committer.add(self.worker.gather_numbered())
        self.commit()
        self.worker.receive(b"hits:2|c\n")
        self.committer.add(self.spoilt(self.worker.gather_numbered()))
        self.worker.die()
        self.assertEqual({"hits": 3.0}, self.commit_counters())
        self.assertEqual(([], 1), (ledger_paths(self.folder), self.total(RECOVERED_LINES)))

    def test_not_understood_while_commits_fail(self) -> None:
        """While commits fail it is counted once, and read when they work again."""
        self.commit()
        FailingStore.failing = "no"
        self.spoil_one()
        for _ in range(3):
            self.committer.commit()
        self.assertEqual((1, 2), (self.committer.not_understood.number, len(self.asked_anew)))
        FailingStore.failing = ""
        self.assertEqual(ALL, self.counters())

    def test_sessions_while_commits_fail(self) -> None:
        """Numbers keep their meaning while commits fail, also when their session has ended meanwhile."""
        self.commit()
        FailingStore.failing = "no"
        for token, lines in ((1, b"a:1|c\nb:2|c\n"), (1, b"b:4|c\n"), (2, b"b:8|c\n"), (2, b"a:16|c\n")):
            self.worker.receive(lines)
            self.committer.add(self.worker.gather_numbered(token))
            self.committer.commit()
        FailingStore.failing = ""
        self.assertEqual({"a": 17.0, "b": 14.0}, self.counters())
        self.assertEqual(0, self.total(RECOVERED_LINES))

    def test_another_image(self) -> None:
        """What belongs to a session of the image before this one is read from the journal, and is no fault."""
        self.worker.receive(b"a:1|c\n")
        self.committer.add(self.worker.gather_numbered())
        self.commit()
        self.successResultOf(self.committer.close())
        self.committer = self.make_committer()
        self.worker.receive(b"a:2|c\n")
        self.committer.add(self.worker.gather_numbered())
        self.worker.receive(b"a:4|c\n")
        self.committer.add(self.worker.gather_numbered(token=2))
        self.assertEqual({"a": 7.0}, self.counters())
        self.assertEqual((1, 0, []), (self.total(RECOVERED_LINES), self.committer.not_understood.number, self.logged))

    def test_a_reader_that_is_not_understood(self) -> None:
        """A journal whose reader says what is not understood is read again; other commits go on meanwhile."""
        other = self.make_worker(1)
        self.worker.receive(b"a:1|c\n")
        self.worker.die()
        self.recovery.held = True
        self.commit()
        name = self.worker.ledger.ledger_id
        self.recovery.results[name] = Replay(0, self.worker.collected, b"\x09rubbish")
        other.receive(b"b:1|c\n")
        self.committer.add(other.gather_numbered())
        self.recovery.held = False
        self.assertEqual({"b": 1.0}, values(self.commit().counters))
        self.assertEqual(1, self.committer.not_understood.number)
        self.commit()
        self.assertEqual({"a": 1.0, "b": 1.0}, self.counters())
