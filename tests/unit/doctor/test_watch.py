"""The watch: growing counters become findings, once a second, and news once a minute."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.doctor.goal import Goal
from statsd_tcp.doctor.symptoms import SYMPTOMS
from statsd_tcp.doctor.watch import Watch
from statsd_tcp.kernel.accept_queue import AcceptQueue
from statsd_tcp.kernel.samples import Sampler
from tests.unit.doctor.machines import folder, machine

NETSTAT = "TcpExt: ListenOverflows TCPReqQFullDrop TCPTimeWaitOverflow TCPMemoryPressures\nTcpExt: {0} {1} {2} {3}\n"


class WatchTests(SynchronousTestCase):
    """A watch of the recorded virtual machine."""

    def setUp(self) -> None:
        """Lay the machine out, and look once."""
        self.root = folder(self)
        machine("vm", self.root)
        self.queues = [AcceptQueue(0, 4096, 0), AcceptQueue(0, 4096, 5)]
        self.netstat(0, 0, 0, 0)
        sampler = Sampler(self.root / "proc", self.root / "sys")
        self.watch = Watch(sampler, lambda: self.queues, Goal(workers=2))
        self.watch.sample(0.0)

    def netstat(self, *values: int) -> None:
        """Set the counters."""
        self.put("proc/self/net/netstat", NETSTAT.format(*values))

    def put(self, name: str, text: str) -> None:
        """Change a file in place: the watch has it open."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def ids(self) -> list[str]:
        """Return the ids of the findings of now."""
        return [finding.id for finding in self.watch.findings()]

    def test_what_was_before_is_no_finding(self) -> None:
        """Counters that grew before the service started are nothing that hurts it."""
        self.assertEqual([], self.watch.findings())
        self.watch.sample(1.0)
        self.assertEqual(([], []), (self.ids(), self.watch.news(1.0)))

    def test_short_queue(self) -> None:
        """Drops of a queue that is too short name somaxconn, the needed value and the command."""
        self.queues[1] = AcceptQueue(4097, 4096, 17)
        self.watch.sample(1.0)
        (finding,) = self.watch.findings()
        self.assertEqual(("accept-queue", "net.core.somaxconn", 12), (finding.id, finding.setting, finding.count))
        self.assertIn("holds 4,096 of 10,400", finding.text)
        self.assertIn("sysctl -w net.core.somaxconn=10400", finding.command)

    def test_slow_workers_and_throttling(self) -> None:
        """Drops of a long queue name the control group if it throttled meanwhile, else the workers."""
        self.queues[:] = [AcceptQueue(65535, 65535, 6)]
        self.put("sys/fs/cgroup/cpu/cpu.stat", "nr_throttled 1\n")
        watch = Watch(Sampler(self.root / "proc", self.root / "sys"), lambda: self.queues, Goal(workers=2))
        watch.sample(0.0)
        self.queues[:] = [AcceptQueue(65535, 65535, 7)]
        watch.sample(1.0)
        self.assertEqual("--workers", watch.findings()[0].setting)
        self.queues[:] = [AcceptQueue(65535, 65535, 9)]
        self.put("sys/fs/cgroup/cpu/cpu.stat", "nr_throttled 4\n")
        watch.sample(2.0)
        self.assertEqual(
            {"accept-queue": "cpu.max", "cpu-quota": "cpu.max"}, {f.id: f.setting for f in watch.findings()}
        )

    def test_counters(self) -> None:
        """Each counter that grows gives its own finding."""
        self.netstat(9, 0, 0, 0)  # other programs' queues: no concern of ours
        self.watch.sample(1.0)
        self.assertEqual([], self.ids())
        self.netstat(9, 1, 2, 3)
        self.put("proc/self/net/softnet_stat", "00000001 00000009 00000000\n")
        self.put("proc/sys/fs/file-nr", "950\t0\t1000\n")
        self.watch.sample(2.0)
        self.assertEqual(["open-files", "softnet", "syn-drops", "tcp-memory", "time-wait"], sorted(self.ids()))

    def test_full_table_of_tracked_connections(self) -> None:
        """Connection tracking is found when it is nearly full, and when it drops."""
        self.put("proc/sys/net/netfilter/nf_conntrack_count", "240000\n")
        self.watch.sample(1.0)
        self.assertEqual(["conntrack"], self.ids())

    def test_a_finding_ends(self) -> None:
        """A minute after the last growth a finding is over."""
        self.netstat(0, 1, 0, 0)
        self.watch.sample(1.0)
        self.watch.sample(60.0)
        self.assertEqual(["syn-drops"], self.ids())
        self.watch.sample(61.0)
        self.assertEqual([], self.ids())

    def test_news_are_rare(self) -> None:
        """A finding is news at once, then once a minute with what came together, and not when it stands still."""
        lines = []
        for second in range(1, 131):
            self.netstat(0, min(second, 100), 0, 0)
            self.watch.sample(float(second))
            lines += [(second, line) for line in self.watch.news(float(second))]
        self.assertEqual([1, 61, 121], [second for second, _ in lines])
        self.assertIn("(1 times); net.ipv4.tcp_syncookies: sysctl -w net.ipv4.tcp_syncookies=1", lines[0][1])
        self.assertIn("(60 times)", lines[1][1])
        self.assertIn("(39 times)", lines[2][1])

    def test_harmless_news_come_once(self) -> None:
        """What costs no count is told once, however long it goes on."""
        lines = []
        for second in range(1, 131):
            self.netstat(0, 0, second, 0)
            self.watch.sample(float(second))
            lines += self.watch.news(float(second))
        self.assertEqual(1, len(lines), lines)
        self.assertIn("costs no count", lines[0])

    def test_counters_that_fall(self) -> None:
        """A counter that wrapped or was reset has not grown."""
        self.netstat(0, 50, 0, 0)
        self.watch.sample(1.0)
        self.netstat(0, 0, 0, 0)
        self.watch.sample(100.0)
        self.assertEqual([], self.ids())

    def test_families(self) -> None:
        """All numbers are exported, and every finding that there can be with 0 or 1."""
        self.netstat(3, 1, 0, 0)
        self.watch.sample(1.0)
        events, levels, findings = self.watch.families()
        self.assertEqual(3.0, events.rows[("TcpExt", "ListenOverflows")])
        self.assertEqual(5.0, events.rows[("listen", "drops")])
        self.assertEqual(262144.0, levels.rows[("conntrack", "limit")])
        self.assertEqual({(one.id,): float(one.id == "syn-drops") for one in SYMPTOMS}, findings.rows)

    def test_the_guide_explains_every_finding(self) -> None:
        """docs/tuning.md has each finding's id in its table."""
        guide = (Path(__file__).parents[3] / "docs" / "tuning.md").read_text()
        self.assertEqual([], [symptom.id for symptom in SYMPTOMS if f"`{symptom.id}`" not in guide])

    def test_empty_machine(self) -> None:
        """Without anything to read there is nothing to say, and no error."""
        nothing = Path("/nonexistent")
        watch = Watch(Sampler(nothing, nothing), list, Goal(workers=1))
        watch.sample(0.0)
        watch.sample(1.0)
        self.assertEqual([], watch.findings())
        self.assertEqual({("listen", "drops"): 0.0}, watch.families()[0].rows)
