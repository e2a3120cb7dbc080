"""The settings in advice, judged."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.doctor.audit.judge import audit, status
from statsd_tcp.doctor.audit.opinion import Grade, Remark
from statsd_tcp.doctor.facts import Facts
from statsd_tcp.doctor.goal import Goal
from tests.unit.doctor.machines import folder, machine

RIGHT, OUTDATED, IRRELEVANT, WRONG, HARMFUL, UNKNOWN = Grade
BRIEF = Path(__file__).parents[2] / "data" / "advice" / "brief.txt"

# On the recorded virtual machine, for 10,000 connections a second and 2 workers: the line, the grade, and words of the
# reason.
BRIEF_LINES = [
    (16, IRRELEVANT, "only connect()"),
    (17, IRRELEVANT, "FIN_WAIT2"),
    (18, RIGHT, "10,400 needed"),
    (19, IRRELEVANT, "tcp_syncookies is on"),
    (20, IRRELEVANT, "not the ring"),
    (21, HARMFUL, "lowers it from 2,466,1"),
    (82, IRRELEVANT, "tcp_syncookies is on"),
    (83, OUTDATED, "1.64 s only"),
    (84, IRRELEVANT, "not the ring"),
    (85, RIGHT, "default"),
    (86, IRRELEVANT, "only connect()"),
    (87, HARMFUL, "ip_local_reserved_ports=8125,8888"),
    (91, HARMFUL, "next start fails"),
    (119, IRRELEVANT, "one queue takes this rate"),
]


class AuditTests(SynchronousTestCase):
    """Opinions of lines, on the recorded virtual machine."""

    def setUp(self) -> None:
        """Lay the machine out."""
        self.root = folder(self)
        self.facts = machine("vm", self.root)

    def judged(self, text: str, goal: Goal | None = None, facts: Facts | None = None) -> list[Remark]:
        """Judge a text."""
        return audit(text, facts or self.facts, goal or Goal(workers=2))

    def grades(self, text: str) -> list[Grade]:
        """Return the grades of a text's lines."""
        return [remark.opinion.grade for remark in self.judged(text)]

    def test_brief(self) -> None:
        """On the page that the project began with every setting is judged, with reason and source, and no prose."""
        remarks = self.judged(BRIEF.read_text())
        self.assertEqual([row[:2] for row in BRIEF_LINES], [(one.line, one.opinion.grade) for one in remarks])
        for (line, _, why), remark in zip(BRIEF_LINES, remarks, strict=True):
            self.assertIn(why, remark.opinion.why, line)
            self.assertTrue(remark.opinion.source, line)
        self.assertEqual(2, status(remarks))

    def test_forms_of_a_setting(self) -> None:
        """A setting is recognised however it is written."""
        for line in (
            "fs.file-max=100000",
            "fs/file-max = 100000",
            "sysctl -w fs.file-max=100000",
            'sudo sysctl -w fs.file-max="100000"',
            "-fs.file-max = 100000   # more files",
            "echo 100000 > /proc/sys/fs/file-max",
            "run `sysctl -w fs.file-max=100000` as root",
            "<pre>fs.file-max = 100000</pre>",
        ):
            self.assertEqual([HARMFUL], self.grades(line), line)

    def test_comments_are_no_settings(self) -> None:
        """A setting that is commented out is not judged."""
        self.assertEqual([], self.grades("# fs.file-max = 1\n; fs.file-max = 1\n#fs.file-max=1\n\n"))

    def test_settings(self) -> None:
        """Each kind of setting gets its grade."""
        for line, grade in (
            ("net.core.somaxconn = 20000", RIGHT),
            ("net.core.somaxconn = 128", HARMFUL),
            ("net.ipv4.tcp_tw_recycle = 1", OUTDATED),
            ("net.ipv4.tcp_syncookies = 0", HARMFUL),
            ("net.ipv4.tcp_abort_on_overflow = 1", HARMFUL),
            ("net.ipv4.tcp_timestamps = 0", HARMFUL),
            ("net.ipv4.tcp_fastopen = 3", HARMFUL),
            ("net.ipv4.tcp_max_tw_buckets = 5000", HARMFUL),
            ("net.ipv4.tcp_max_tw_buckets = 1440000", RIGHT),
            ("net.ipv4.tcp_max_orphans = 100", HARMFUL),
            ("net.ipv4.ip_local_port_range = 30000 65000", IRRELEVANT),
            ("net.ipv4.ip_local_reserved_ports = 8125", RIGHT),
            ("net.core.rmem_max = 16777216", RIGHT),
            ("net.core.rmem_max = 212992", HARMFUL),
            ("net.core.wmem_max = 16777216", IRRELEVANT),
            ("net.core.busy_poll = 50", HARMFUL),
            ("net.ipv4.tcp_low_latency = 1", OUTDATED),
            ("net.netfilter.nf_conntrack_max = 1000", IRRELEVANT),
            ("vm.swappiness = 0", IRRELEVANT),
            ("net.core.somaxconn = lots", WRONG),
            (f"net.core.somaxconn = {'9' * 5000}", WRONG),
            ("net.core.no_such_setting = 1", UNKNOWN),
            ("net.core.somaxxconn = 1", UNKNOWN),
            ("fs.nr_open = 100", HARMFUL),
        ):
            self.assertEqual([grade], self.grades(line), line)

    def test_the_machine_matters(self) -> None:
        """What is dead on a new kernel is harmful on an old one, and what is irrelevant without cookies counts."""
        old = machine("centos7", folder(self))
        recycle = self.judged("net.ipv4.tcp_tw_recycle = 1", facts=old)
        self.assertEqual(HARMFUL, recycle[0].opinion.grade)
        (self.root / "proc/sys/net/ipv4/tcp_syncookies").write_text("0\n")
        self.assertEqual([RIGHT], self.grades("net.ipv4.tcp_max_syn_backlog = 65536"))

    def test_the_rate_matters(self) -> None:
        """Several queues are irrelevant at 10,000 connections a second, and right at 100,000."""
        line, fast = "ethtool -L eth0 combined 8", Goal(rate=100_000, workers=2)
        self.assertEqual([IRRELEVANT], self.grades(line))
        self.assertEqual(RIGHT, self.judged(line, fast)[0].opinion.grade)

    def test_open_files(self) -> None:
        """A process's limit of open files is judged by what a worker needs, in a shell and in a unit."""
        for line, grade in (
            ("ulimit -n 1024", HARMFUL),
            ("ulimit -Hn unlimited", RIGHT),
            ("LimitNOFILE=65536", RIGHT),
            ("LimitNOFILE=1024:4096", HARMFUL),
            ("LimitNOFILE=infinity", RIGHT),
        ):
            self.assertEqual([grade], self.grades(line), line)

    def test_status(self) -> None:
        """0 for what is right, 1 for what does not help, 2 for what harms."""
        for line, wanted in (("net.ipv4.tcp_syncookies = 1", 0), ("vm.swappiness = 1", 1), ("fs.file-max = 9", 2)):
            self.assertEqual(wanted, status(self.judged(line)))
        self.assertEqual(0, status([]))
