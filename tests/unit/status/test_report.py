"""What the pages say of a supervisor and its workers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from statsd_tcp.aggregate.examples import Example
from statsd_tcp.commit.recovery import Recovery
from statsd_tcp.ledger.cells import GAP_MAX, HEARTBEAT, JOURNAL_HEAD, JOURNAL_RELEASED, listener_cells
from statsd_tcp.repeat.totals import RepeatTotals
from statsd_tcp.status.examples import LastExamples
from statsd_tcp.status.health import LONGEST_COMMIT, Health
from statsd_tcp.status.parts import Parts
from statsd_tcp.status.report import Report
from statsd_tcp.status.underway import Underway
from statsd_tcp.status.who import Who
from statsd_tcp.store.snapshot import ACCEPTED, LINES, Snapshot, TotalKey
from statsd_tcp.workers.channel import Gathered
from tests.unit.supervisor.fakes import RING_SIZE, say
from tests.unit.supervisor.supervising import SupervisorTestCase
from tests.unit.web.tables import make_snapshot


class ReportTests(SupervisorTestCase):
    """What the service says about itself."""

    def setUp(self) -> None:
        """Start."""
        super().setUp()
        committer: Any = self.committer
        kernel: Any = SimpleNamespace(families=list, findings=list)
        reload: Any = SimpleNamespace(successful=None)
        self.health = Health(self.supervisor, committer, started_at=1.0)
        self.recovery = Recovery(self.reactor, self.children, 1)
        parts = Parts(
            plan=self.plan,
            supervisor=self.supervisor,
            committer=committer,
            ledger_folder=self.ledger_folder,
            recovery=self.recovery,
            health=self.health,
            reload=reload,
            kernel=kernel,
            underway=Underway({"commit": [self.committer]}),
            deliveries=[],
            remotes=[],
            repeats=RepeatTotals((), self.reactor.seconds),
            examples=LastExamples(self.reactor, kept=True),
            who=Who(self.reactor, None, (), None, ()),
        )
        self.report = Report(self.reactor, parts)
        self.start()

    def set_cell(self, number: int, index: int, value: int) -> None:
        """Store into a worker's ledger as the worker would."""
        current = self.supervisor._slots.present[number].current
        assert current is not None
        with current.ledger.path.open("r+b") as file:
            file.seek(current.ledger.file.header.cells_at + 8 * index)
            file.write(value.to_bytes(8, "little"))

    def test_ready(self) -> None:
        """Ready is who accepts and commits."""
        self.assertEqual((True, "ok"), self.report.ready())
        self.committer.failure = "the disk is full"
        self.assertEqual((False, "commits fail: the disk is full"), self.report.ready())
        self.committer.failure, self.committer.snapshot = "", None
        self.assertEqual((False, "the store is being opened"), self.report.ready())

    def test_a_commit_that_hangs(self) -> None:
        """Who has a commit that does not return is not ready and says since when; it is a finding with its age."""
        self.committer.underway = LONGEST_COMMIT
        self.assertEqual(((True, "ok"), []), (self.report.ready(), self.report.status()["findings"]))
        self.committer.underway = 12.0
        self.assertEqual((False, "the commit under way began 12 s ago"), self.report.ready())
        self.assertEqual((True, "ok"), self.report.healthy())
        (finding,) = self.report.status()["findings"]
        self.assertEqual(("underway.commit", 12.0), (finding["id"], finding["seconds"]))
        self.assertEqual(12.0, self.report.own_metrics(make_snapshot()).underway["commit"])

    def test_a_journal_that_fills(self) -> None:
        """Who has a journal that is more than half full of what is not committed is not ready."""
        self.set_cell(1, JOURNAL_RELEASED, 8)
        self.set_cell(1, JOURNAL_HEAD, 8 + RING_SIZE // 2)
        self.assertEqual((True, "ok"), self.report.ready())
        self.set_cell(1, JOURNAL_HEAD, 8 + RING_SIZE * 3 // 4)
        self.assertEqual((False, "the journal of worker 1 is 75% full of what is not committed"), self.report.ready())

    def test_down(self) -> None:
        """Who is told to be down is not ready, and healthy."""
        self.health.up = False
        self.assertEqual((False, "the console has been told that it is down"), self.report.ready())
        self.assertEqual((True, "ok"), self.report.healthy())

    def test_own_metrics(self) -> None:
        """The numbers come from the ledgers, the sockets, the slots and the kernel."""
        self.set_cell(1, listener_cells(0).accepted, 5)
        self.set_cell(1, listener_cells(0).paused, 1)
        self.set_cell(0, GAP_MAX, 250_000_000)
        own = self.report.own_metrics(make_snapshot())
        label = self.plan.listeners[0].label
        self.assertEqual(5, own.totals[TotalKey(ACCEPTED, label, "1")])
        self.assertEqual({label: True, "probes": False}, own.accept_paused)
        self.assertEqual(0.25, own.reactor_gap_seconds_max)
        self.assertEqual({"ready": 2, "starting": 0, "draining": 0, "waiting": 0, "stopped": 0}, own.workers)
        self.assertEqual({self.plan.listeners[1].label: 0}, own.receive_drops)
        self.assertEqual(
            [(label, 0), (label, 1), ("probes", 0), ("probes", 1)],
            [(one.listener, one.worker) for one in own.accept_queues],
        )

    def test_examples(self) -> None:
        """What a worker gives as an example of what it rejected is told at once, before its commit."""
        example = Example("malformed_value", "tcp:8125", b"q:x|ms")
        say(self.worker(0)[2], Gathered(0, 0, b"", examples=(example,)))
        self.assertEqual([example], self.events.examples)

    def test_status(self) -> None:
        """The status names listeners with their real ports, and workers with slot, state and heartbeat."""
        self.set_cell(0, HEARTBEAT, 1)
        status = self.report.status()
        self.assertEqual([one.port for one in self.plan.listeners], [one["port"] for one in status["listeners"]])
        self.assertEqual(["ready", "ready"], [one["state"] for one in status["workers"]])
        self.assertGreater(status["workers"][0]["heartbeat_age_seconds"], 0)
        self.assertEqual(0, status["workers"][1]["heartbeat_age_seconds"])
        self.assertEqual((True, 50, ""), tuple(
            status[key] for key in ("ready", "connection_limit_per_worker", "last_commit_error")
        ))  # fmt: skip
        self.assertEqual(str(self.folder / "state"), status["state_dir"])

    def test_open_connections(self) -> None:
        """What was accepted and not closed is open."""
        self.set_cell(0, listener_cells(0).accepted, 5)
        self.set_cell(0, listener_cells(0).eof, 3)
        self.set_cell(1, listener_cells(0).accepted, 2)
        first = self.report.status()["listeners"][0]
        self.assertEqual((7, 4), (first["connections"], first["open"]))

    def test_rates(self) -> None:
        """Rates are taken between the oldest and the newest of the last samples, and are 0 before there are two."""
        self.assertEqual({"connections_per_second": 0.0, "lines_per_second": 0.0}, self.report.status()["rates"])
        for second in range(20):
            self.set_cell(0, listener_cells(0).accepted, 100 * second)
            self.report.sample()
            self.reactor.advance(1)
        self.assertEqual(100.0, self.report.status()["rates"]["connections_per_second"])

    def test_rates_of_lines(self) -> None:
        """Lines come with the commits."""
        for lines in (0, 50):
            snapshot = make_snapshot()
            settled = {TotalKey(LINES, "tcp:1"): lines}
            self.committer.snapshot = Snapshot(**{**_fields(snapshot), "settled": settled})
            self.report.sample()
            self.reactor.advance(2)
        self.assertEqual(25.0, self.report.status()["rates"]["lines_per_second"])


def _fields(snapshot: Snapshot) -> dict[str, Any]:
    return {name: getattr(snapshot, name) for name in snapshot.__struct_fields__}
