"""The doctor's checks, over recorded machines."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.doctor.examination import CHECKS, UNCHECKED, examine, remedies, status
from statsd_tcp.doctor.facts import Facts
from statsd_tcp.doctor.goal import Goal
from statsd_tcp.doctor.judgement import Judgement, Result, Verdict, Weight
from statsd_tcp.doctor.probes import Roots
from tests.unit.doctor.machines import KINDS, RecordedProbes, folder, judge, machine

OK, RAISE, LOWER, DEAD, IRRELEVANT, UNKNOWN = Verdict
FINE, WARNING, STOPS = Weight

WORKERS = {"vm": 2, "container": 1, "centos7": 4, "numa": 8}

# machine, check, verdict, weight, words of what is now, of what is needed, of why
EXPECTED = [
    ("vm", "nic.queues", OK, FINE, "eth0 1", "1 per card", "smallest number"),
    ("vm", "nic.ring", OK, FINE, "eth0 256 of 256", "", "no card loses"),
    ("vm", "nic.interrupts", IRRELEVANT, FINE, "one queue", "", ""),
    ("vm", "nic.irqbalance", IRRELEVANT, FINE, "does not run", "", ""),
    ("vm", "nic.link", UNKNOWN, FINE, "?", "", "does not tell a speed"),
    ("vm", "softirq.backlog", IRRELEVANT, FINE, "1,000", "", "not the card's ring"),
    ("vm", "accept.somaxconn", RAISE, WARNING, "4,096", "10,400", "full after 0.82 s"),
    ("vm", "accept.backlog", UNKNOWN, FINE, "?", "", "nothing listens on tcp 8125, 8888"),
    ("vm", "syn.backlog", IRRELEVANT, FINE, "2,048", "", "tcp_syncookies is on"),
    ("vm", "tw.reuse", IRRELEVANT, FINE, "2", "", "only connect()"),
    ("vm", "tw.recycle", DEAD, FINE, "gone", "", "4.12"),
    ("vm", "tw.fin-timeout", IRRELEVANT, FINE, "60 s", "", "FIN_WAIT2"),
    ("vm", "tw.buckets", RAISE, WARNING, "131,072", "660,000", "count-only"),
    ("vm", "tw.hash", RAISE, FINE, "262,144", "305,000", "thash_entries"),
    ("vm", "tw.port-range", IRRELEVANT, FINE, "32768 to 60999", "", "connect()"),
    ("vm", "conntrack.max", IRRELEVANT, FINE, "262,144", "", "no rule"),
    ("vm", "fd.limit", RAISE, WARNING, "hard 20,000", "30,128", "accepting pauses"),
    ("vm", "fd.file-max", OK, FINE, "2,466,1", "120,512", "advice mostly lowers it"),
    ("vm", "cpu.number", OK, FINE, "2 of 2", "1", ""),
    ("vm", "numa.node", IRRELEVANT, FINE, "one node", "", ""),
    ("vm", "container.network", OK, FINE, "the host's", "", ""),
    ("container", "nic.queues", UNKNOWN, FINE, "?", "", "a container's end of a pair"),
    ("container", "softirq.backlog", UNKNOWN, FINE, "?", "", "only in the host's own network namespace"),
    ("container", "mem.tcp", UNKNOWN, FINE, "?", "", "only in the host's own network namespace"),
    ("container", "accept.backlog", RAISE, WARNING, "4,096 on port 8125", "20,566", "as long as net.core.somaxconn"),
    ("container", "accept.overflows", LOWER, WARNING, "731", "0", "too short"),
    ("container", "tw.hash", RAISE, FINE, "262,144", "305,000", ""),
    ("container", "conntrack.max", IRRELEVANT, FINE, "not there", "", "not loaded"),
    ("container", "cgroup.cpu", RAISE, WARNING, "0.5 processors", "1 processors", "stopped 4,096 times"),
    ("container", "cgroup.memory", RAISE, STOPS, "128 MiB", "MiB", "at its limit 17 times"),
    ("container", "cgroup.tasks", RAISE, WARNING, "32", "38", "EAGAIN"),
    ("container", "container.network", IRRELEVANT, FINE, "its own", "", "somaxconn"),
    ("centos7", "nic.ring", RAISE, WARNING, "256 of 4096", "4096", "lost in the card"),
    ("centos7", "nic.interrupts", RAISE, FINE, "busiest 100%", "several CPUs", "one processor"),
    ("centos7", "nic.irqbalance", OK, FINE, "runs", "", "never both"),
    ("centos7", "nic.link", OK, FINE, "1,000 Mbit/s", "64 Mbit/s", ""),
    ("centos7", "softirq.backlog", RAISE, WARNING, "1,000", "6,000", ""),
    ("centos7", "accept.somaxconn", RAISE, STOPS, "128", "5,283", "full after 0.05 s"),
    ("centos7", "accept.overflows", LOWER, WARNING, "88,213", "0", "holds 128 of 5,283"),
    ("centos7", "accept.abort", LOWER, WARNING, "1", "0", "is reset"),
    ("centos7", "accept.migrate", IRRELEVANT, FINE, "not there", "", "5.14"),
    ("centos7", "syn.cookies", OK, WARNING, "1", "1", "cookies were sent"),
    ("centos7", "tw.recycle", LOWER, STOPS, "1", "0", "NAT"),
    ("centos7", "tw.port-range", RAISE, WARNING, "1024 to 65535", "reserve 8125,8888", "address in use"),
    ("centos7", "conntrack.max", RAISE, STOPS, "65,536", "1,452,000", "full after 7 s"),
    ("centos7", "conntrack.time-wait", LOWER, FINE, "120 s", "30 s", "second-best"),
    ("centos7", "fd.limit", RAISE, WARNING, "hard 4,096", "15,128", ""),
    ("centos7", "fd.file-max", RAISE, WARNING, "100,000", "121,024", "the default was lowered"),
    ("vm", "mem.udp-buffers", RAISE, WARNING, "8,388,608 B", "16,777,216 B", "more workers, or udp:PORT:rcvbuf=BYTES"),
    ("centos7", "mem.udp-buffers", RAISE, WARNING, "425,984 B", "851,968 B", "counts from the next start"),
    ("centos7", "tw.hash", UNKNOWN, FINE, "?", "", "does not tell"),
    ("numa", "nic.interrupts", OK, FINE, "16 CPUs, busiest 6%", "several CPUs", ""),
    ("numa", "nic.pcie", IRRELEVANT, FINE, "8.0 GT/s PCIe x8", "", "64 Mbit/s"),
    ("numa", "accept.somaxconn", OK, FINE, "65,535", "2,700", "52.4 s"),
    ("numa", "fd.limit", OK, FINE, "1,024, hard 524,288", "7,628", "raises the soft limit"),
    ("numa", "numa.node", LOWER, FINE, "ens1f0np0 on 1, 32 CPUs elsewhere", "CPUs 32-63", "another node"),
]


class MachineTests(SynchronousTestCase):
    """Every kind of machine gets its own diagnosis."""

    def setUp(self) -> None:
        """Make room for the machines."""
        self.folder = folder(self)

    def facts(self, kind: str) -> Facts:
        """Lay a machine out."""
        return machine(kind, self.folder / kind)

    def test_judgements(self) -> None:
        """Each check finds on each machine what was put there."""
        for kind, check, verdict, weight, current, needed, why in EXPECTED:
            judgement = judge(self.facts(kind), Goal(workers=WORKERS[kind]), check)
            where = f"{kind} {check}: {judgement}"
            self.assertEqual((verdict, weight), (judgement.verdict, judgement.weight), where)
            self.assertIn(current, judgement.current, where)
            self.assertIn(needed, judgement.needed, where)
            self.assertIn(why, judgement.why, where)

    def test_status(self) -> None:
        """The exit status is the worst weight."""
        wanted = {"vm": 1, "container": 2, "centos7": 2, "numa": 0}
        found = {kind: status(examine(self.facts(kind), Goal(workers=WORKERS[kind]))) for kind in KINDS}
        self.assertEqual(wanted, found)

    def test_what_is_to_be_changed_says_why_and_how(self) -> None:
        """A verdict that asks for a change names the needed value; every remedy has an undo."""
        for kind in KINDS:
            for result in examine(self.facts(kind), Goal(workers=WORKERS[kind])):
                judgement = result.judgement
                self.assertTrue(judgement.why, result.check.id)
                if judgement.verdict in {Verdict.RAISE, Verdict.LOWER}:
                    self.assertTrue(judgement.needed, result.check.id)
                for remedy in judgement.remedies:
                    self.assertTrue(remedy.do, result.check.id)
                    self.assertTrue(remedy.undo, result.check.id)

    def test_nothing_is_lowered_automatically(self) -> None:
        """No remedy that the doctor carries out itself makes a number smaller."""
        for kind in KINDS:
            for _, remedy in remedies(examine(self.facts(kind), Goal(workers=WORKERS[kind]))):
                if remedy.automatic and remedy.kind == "sysctl" and remedy.previous.isdigit():
                    self.assertGreater(int(remedy.value), int(remedy.previous), remedy.name)

    def test_the_host_is_left_alone_from_a_container(self) -> None:
        """In a network namespace of its own the doctor changes nothing that belongs to the host."""
        facts = self.facts("container")
        facts.sysctl_path("net.core.rmem_max").write_text("212992\n")
        found = remedies(examine(facts, Goal(workers=1)))
        names = {remedy.name: remedy.automatic for _, remedy in found}
        self.assertEqual((False, True), (names["net.core.rmem_max"], names["net.core.somaxconn"]))

    def test_a_folklore_setting_is_never_recommended(self) -> None:
        """tw_reuse, fin_timeout and the port range are not among the remedies of any machine."""
        for kind in KINDS:
            names = {remedy.name for _, remedy in remedies(examine(self.facts(kind), Goal(workers=1)))}
            self.assertFalse(
                names & {"net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_fin_timeout", "net.ipv4.ip_local_port_range"}
            )

    def test_a_higher_rate_needs_more(self) -> None:
        """At 100,000 connections per second one queue and two processors do not do."""
        facts, goal = self.facts("vm"), Goal(rate=100_000, workers=2)
        self.assertEqual(RAISE, judge(facts, goal, "nic.queues").verdict)
        self.assertEqual(STOPS, judge(facts, goal, "cpu.number").weight)
        self.assertIn("there are 2", judge(facts, goal, "softirq.rps").why)


class ChangedMachineTests(SynchronousTestCase):
    """One thing changed on a machine changes the verdict on that thing."""

    def setUp(self) -> None:
        """Lay the virtual machine out, to be changed."""
        self.root = folder(self)
        machine("vm", self.root)

    def set(self, name: str, text: str) -> None:
        """Write a file below the root."""
        (self.root / name).write_text(text)

    def judged(self, check: str, goal: Goal | None = None) -> Judgement:
        """Make one check."""
        return judge(machine("vm", self.root), goal or Goal(workers=2), check)

    def test_unix_datagrams(self) -> None:
        """With a listener for Unix datagrams the length of its queue counts, which the kernel has at ten."""
        name, listening = "proc/sys/net/unix/max_dgram_qlen", Goal(workers=2, unixgram=("/run/x",))
        self.assertEqual(IRRELEVANT, self.judged("mem.unix-datagrams").verdict)
        self.assertEqual(UNKNOWN, self.judged("mem.unix-datagrams", listening).verdict)
        (self.root / name).parent.mkdir()
        for now, verdict, weight in (("10", RAISE, WARNING), ("512", RAISE, FINE), ("1000", OK, FINE)):
            self.set(name, now)
            judgement = self.judged("mem.unix-datagrams", listening)
            self.assertEqual((verdict, weight, "1,000"), (judgement.verdict, judgement.weight, judgement.needed))
            commands = [remedy.do for remedy in judgement.remedies]
            self.assertEqual([] if verdict is OK else ["sysctl -w net.unix.max_dgram_qlen=1000"], commands)

    def test_cookies_off(self) -> None:
        """Without SYN cookies the limit of half-open connections counts."""
        self.set("proc/sys/net/ipv4/tcp_syncookies", "0\n")
        self.assertEqual((RAISE, WARNING), (self.judged("syn.cookies").verdict, self.judged("syn.cookies").weight))
        self.assertEqual(RAISE, self.judged("syn.backlog").verdict)

    def test_tracked_connections(self) -> None:
        """With tracked connections the table is judged by the rate, and notrack comes first."""
        self.set("proc/sys/net/netfilter/nf_conntrack_count", "5000\n")
        judgement = self.judged("conntrack.max")
        self.assertEqual((RAISE, STOPS), (judgement.verdict, judgement.weight))
        self.assertEqual(["notrack", "sysctl"], [remedy.kind for remedy in judgement.remedies])
        self.assertEqual(OK, self.judged("conntrack.max", Goal(rate=1000, workers=2)).verdict)

    def test_steered_packets(self) -> None:
        """With receive packet steering packets do wait in the backlog."""
        self.set("sys/class/net/eth0/queues/rx-0/rps_cpus", "3\n")
        self.assertEqual(
            (RAISE, "3,000"), (self.judged("softirq.backlog").verdict, self.judged("softirq.backlog").needed)
        )

    def test_written_but_not_in_force(self) -> None:
        """A queue that is shorter than somaxconn allows now was made before: only a restart helps."""
        self.set("proc/sys/net/core/somaxconn", "65535\n")
        self.set("probes.json", '{"rings": {}, "listeners": [{"port": 8125, "limit": 128}]}')
        judgement = self.judged("accept.backlog")
        self.assertEqual((RAISE, STOPS), (judgement.verdict, judgement.weight))
        self.assertIn("allows 65,535 now", judgement.why)
        self.assertIn("restart", judgement.remedies[0].do)

    def test_overflow_of_a_long_queue(self) -> None:
        """If the queue is long enough, throttling is to blame, or the workers."""
        self.set("probes.json", '{"rings": {}, "listeners": [{"port": 8125, "limit": 65535}]}')
        path = self.root / "proc/self/net/netstat"
        path.write_text("TcpExt: ListenOverflows ListenDrops\nTcpExt: 9 9\n")
        self.assertIn("workers do not keep up", self.judged("accept.overflows").why)
        self.set("sys/fs/cgroup/cpu/cpu.stat", "nr_throttled 77\n")
        self.assertIn("stopped the service 77 times", self.judged("accept.overflows").why)

    def test_foreign_listener(self) -> None:
        """Sockets of two users on a port of ours take connections away."""
        rows = '{"port": 8125, "limit": 9, "uid": 0}, {"port": 8125, "limit": 9, "uid": 1000}'
        self.set("probes.json", f'{{"rings": {{}}, "listeners": [{rows}]}}')
        judgement = self.judged("accept.foreign")
        self.assertEqual((LOWER, STOPS), (judgement.verdict, judgement.weight))

    def test_foreign_process(self) -> None:
        """A process that is not the service's and has a socket of its own on its port is named."""
        self.set("probes.json", '{"rings": {}, "listeners": [{"port": 8125, "limit": 9}, {"port": 8125, "limit": 9}]}')
        for pid, inode in ((50, 1), (51, 1), (60, 2)):
            folder = self.root / f"proc/{pid}/fd"
            folder.mkdir(parents=True)
            (folder / "4").symlink_to(f"socket:[{inode}]")
        self.assertIn("process 60 listens", self.judged("accept.foreign", Goal(workers=1, pids=(50,))).why)
        self.assertEqual(OK, self.judged("accept.foreign", Goal(workers=1, pids=(50, 60))).verdict)

    def test_reserved_ports(self) -> None:
        """A port that is reserved cannot be taken, whatever the range; the rest is added to what is reserved."""
        self.set("proc/sys/net/ipv4/ip_local_port_range", "1024\t65535\n")
        self.set("proc/sys/net/ipv4/ip_local_reserved_ports", "8000-8200\n")
        self.assertEqual("8000-8200,8888", self.judged("tw.port-range").remedies[0].value)
        self.set("proc/sys/net/ipv4/ip_local_reserved_ports", "8125,8888\n")
        self.assertEqual(OK, self.judged("tw.port-range").verdict)

    def test_unreadable(self) -> None:
        """What cannot be read is unknown with the reason; where it decides, the exit status says so."""
        (self.root / "proc/sys/net/core/somaxconn").unlink()
        judgement = self.judged("accept.somaxconn")
        self.assertEqual(UNKNOWN, judgement.verdict)
        self.assertIn("no such file", judgement.why)
        self.assertEqual(UNCHECKED, status(examine(machine("vm", self.root), Goal(workers=2))))

    def test_nonsense(self) -> None:
        """A file that says something else than it should is unknown, and no error."""
        self.set("proc/sys/net/core/somaxconn", "many\n")
        self.assertIn("'many', which is not a number", self.judged("accept.somaxconn").why)
        self.set("proc/self/net/netstat", "TcpExt: ListenOverflows\nTcpExt: x\n")
        self.assertIn("not understood", self.judged("accept.overflows").why)

    def test_empty_machine(self) -> None:
        """A machine of which nothing can be read is unknown throughout, without an error."""
        empty = folder(self)
        facts = Facts(Roots(empty / "proc", empty / "sys"), RecordedProbes(empty / "none"))
        verdicts = {result.judgement.verdict for result in examine(facts, Goal(workers=1))}
        self.assertTrue(verdicts <= {UNKNOWN, IRRELEVANT, OK})
        self.assertEqual(UNCHECKED, status(examine(facts, Goal(workers=1))))

    def test_shut_network(self) -> None:
        """Settings of a network that we cannot enter are unknown: our own would mislead."""
        facts = Facts(Roots(self.root / "proc", self.root / "sys", shut="run as root"), RecordedProbes(self.root / "x"))
        self.assertEqual("run as root", judge(facts, Goal(workers=1), "accept.somaxconn").why)
        self.assertEqual("run as root", judge(facts, Goal(workers=1), "nic.queues").why)
        self.assertEqual(OK, judge(facts, Goal(workers=1), "fd.nr-open").verdict)


class CheckTableTests(SynchronousTestCase):
    """The table of checks."""

    def test_ids_are_unique(self) -> None:
        """No id stands for two checks."""
        ids = [check.id for check in CHECKS]
        self.assertEqual(len(ids), len(set(ids)))

    def test_no_result_is_fine(self) -> None:
        """Nothing examined, nothing wrong."""
        self.assertEqual(0, status([]))

    def test_stopping_outweighs_unknown(self) -> None:
        """What surely stops the rate counts more than what could not be checked."""
        essential = next(check for check in CHECKS if check.essential)
        unknown = Result(essential, Judgement(verdict=UNKNOWN, current="?", why="x"))
        stops = Result(essential, Judgement(verdict=RAISE, current="1", why="x", weight=STOPS))
        self.assertEqual((UNCHECKED, 2), (status([unknown]), status([unknown, stops])))
