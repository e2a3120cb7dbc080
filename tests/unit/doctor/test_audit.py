"""Advice, judged line by line."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.doctor.audit.judge import audit, status
from statsd_tcp.doctor.audit.opinion import Grade, Remark
from statsd_tcp.doctor.audit.page import lines_of
from statsd_tcp.doctor.facts import Facts
from statsd_tcp.doctor.goal import Goal
from tests.unit.doctor.machines import folder, machine

RIGHT, OUTDATED, IRRELEVANT, WRONG, HARMFUL, UNKNOWN = Grade
BRIEF = Path(__file__).parents[2] / "data" / "advice" / "brief.txt"

# On the recorded virtual machine, for 10,000 connections a second and 2 workers: the line, words of what is judged, the
# grade, and words of the reason.
BRIEF_LINES = [
    (8, "1024 limit", RIGHT, "soft limit"),
    (9, "TIME_WAIT State", WRONG, "client that connects"),
    (10, "somaxconn, tcp_max_syn_backlog", RIGHT, "somaxconn is the one"),
    (11, "NIC Queue Settings", IRRELEVANT, "one queue takes this rate"),
    (16, "tcp_tw_reuse = 1", IRRELEVANT, "only connect()"),
    (17, "tcp_fin_timeout = 15", IRRELEVANT, "FIN_WAIT2"),
    (18, "somaxconn = 32768", RIGHT, "10,400 needed"),
    (19, "tcp_max_syn_backlog = 65536", IRRELEVANT, "tcp_syncookies is on"),
    (20, "netdev_max_backlog = 20000", IRRELEVANT, "not the ring"),
    (21, "fs.file-max = 100000", HARMFUL, "lowers it from 2,466,1"),
    (29, "counter += 1", WRONG, "one process's memory"),
    (30, "writer.close()", WRONG, "server closes first"),
    (36, "backlog=10000", OUTDATED, "without a word"),
    (47, "ss -s", RIGHT, "ss -lntm"),
    (50, "/proc/net/sockstat", RIGHT, "cheap"),
    (53, "lsof | wc -l", WRONG, "file-nr"),
    (56, "/proc/interrupts", RIGHT, "as they like"),
    (60, "DPDK", IRRELEVANT, "ten times"),
    (61, "connection pooling", RIGHT, "count events"),
    (62, "UDP instead of TCP", RIGHT, "silent"),
    (63, "multiple ports", IRRELEVANT, "SO_REUSEPORT"),
    (65, "8-core", RIGHT, "one or two processors"),
    (67, "ethtool -L", IRRELEVANT, "resets the link"),
    (68, "irqbalance", IRRELEVANT, "either it or pinning"),
    (69, "NUMA", IRRELEVANT, "several nodes"),
    (70, "PCIe", IRRELEVANT, "64 Mbit/s"),
    (75, "sysctl net.ipv4.tcp_max_syn_backlog", RIGHT, "reads the setting"),
    (79, "three parameters", WRONG, "connection tracking"),
    (79, "tcp_max_syn_backlog (typically 128)", OUTDATED, "grows with the memory"),
    (79, "somaxconn (usually 128)", OUTDATED, "Linux 5.4"),
    (79, "NIC driver queue", WRONG, "ring"),
    (83, "somaxconn = 8192", OUTDATED, "1.64 s only"),
    (85, "tcp_syncookies = 1", RIGHT, "default"),
    (87, "ip_local_port_range = 1024 65535", HARMFUL, "ip_local_reserved_ports=8125,8888"),
    (89, "ephemeral port", WRONG, "client's limit"),
    (91, "ip_local_port_range", HARMFUL, "next start fails"),
    (97, "SO_REUSEPORT", WRONG, "single socket"),
    (98, "Must match somaxconn", OUTDATED, "smaller of the two"),
    (107, "accept(", WRONG, "close(-1)"),
    (108, "counter++", WRONG, "data race"),
    (113, "interrupt processing", IRRELEVANT, "one queue"),
    (116, "ethtool -l", RIGHT, "how many queues"),
    (119, "ethtool -L", IRRELEVANT, "resets"),
    (122, "irqbalance", IRRELEVANT, "either"),
    (130, "netstat -s", RIGHT, "since boot"),
    (133, "ethtool -S", RIGHT, "differ"),
    (135, "backlog queues", RIGHT, "needs more workers"),
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
        """Give the grades of a text's lines."""
        return [remark.opinion.grade for remark in self.judged(text)]

    def test_brief(self) -> None:
        """The page that the project began with: every setting and claim in it is judged, with reason and source."""
        remarks = self.judged(BRIEF.read_text())
        for line, subject, grade, why in BRIEF_LINES:
            found = [
                one for one in remarks if one.line == line and one.opinion.grade is grade and why in one.opinion.why
            ]
            self.assertTrue(found, (line, subject, grade, [one for one in remarks if one.line == line]))
            self.assertIn(subject.casefold(), BRIEF.read_text().splitlines()[line - 1].casefold().replace('"', ""))
        self.assertEqual([], [one for one in remarks if not (one.opinion.why and one.opinion.source)])
        self.assertEqual(2, status(remarks))

    def test_every_setting_of_the_brief_is_known(self) -> None:
        """No setting of the brief is without an opinion."""
        self.assertNotIn(UNKNOWN, self.grades(BRIEF.read_text()))

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
            ("net.core.rmem_max = 16777216", IRRELEVANT),
            ("net.core.busy_poll = 50", HARMFUL),
            ("net.ipv4.tcp_low_latency = 1", OUTDATED),
            ("net.netfilter.nf_conntrack_max = 1000", IRRELEVANT),
            ("vm.swappiness = 0", IRRELEVANT),
            ("net.core.somaxconn = lots", WRONG),
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

    def test_status(self) -> None:
        """0 for what is right, 1 for what does not help, 2 for what harms."""
        for line, wanted in (("net.ipv4.tcp_syncookies = 1", 0), ("vm.swappiness = 1", 1), ("fs.file-max = 9", 2)):
            self.assertEqual(wanted, status(self.judged(line)))
        self.assertEqual(0, status([]))


class PageTests(SynchronousTestCase):
    """Saved web pages."""

    def test_markup_goes(self) -> None:
        """Text of a page keeps the numbers of its lines; scripts and styles are not text."""
        page = (
            "<!DOCTYPE html>\n<html><head><title>net.core.somaxconn=1</title></head>\n"
            "<p>Use\nit: <b>a</b> &amp; b</p><style>x</style>\n"
            "<pre>one = 1\n\ntwo &gt; 2</pre><script>\nthree\n</script>\n<li>four<br>five</li>"
        )
        wanted = [(3, "Use it: a & b"), (5, "one = 1"), (7, "two > 2"), (10, "four"), (10, "five")]
        self.assertEqual(wanted, [tuple(line) for line in lines_of(page)])

    def test_plain_text_stays(self) -> None:
        """A text that only mentions angle brackets is no page."""
        self.assertEqual([(1, "a < b > c"), (3, "d")], [tuple(line) for line in lines_of("  a < b > c\n\nd\n")])
