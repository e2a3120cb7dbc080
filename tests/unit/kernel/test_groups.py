"""Control groups of both versions."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.kernel.groups import Group, read_group
from tests.unit.doctor.machines import folder


class GroupTests(SynchronousTestCase):
    """What a process's control groups allow."""

    def setUp(self) -> None:
        """Make an empty sysfs."""
        self.sys = folder(self)

    def put(self, name: str, text: str) -> None:
        """Write a file below /sys/fs/cgroup."""
        path = self.sys / "fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def test_nothing(self) -> None:
        """Without control groups there is no limit and no number."""
        self.assertEqual(Group(), read_group("", self.sys))

    def test_version_2_takes_the_tightest_limit(self) -> None:
        """A limit of a parent counts if it is tighter; what was refused is the group's own."""
        self.put("cpu.max", "max 100000\n")
        self.put("a/cpu.max", "150000 100000\n")
        self.put("a/b/cpu.max", "400000 100000\n")
        self.put("a/memory.max", "1000\n")
        self.put("a/b/memory.max", "max\n")
        self.put("a/b/memory.events", "low 1\nmax 5\noom 2\noom_kill 9\n")
        self.put("a/b/cpu.stat", "usage_usec 1\nnr_throttled 3\n")
        self.put("a/b/pids.max", "max\n")
        self.put("a/b/pids.current", "4\n")
        self.put("a/b/pids.events", "max 6\n")
        group = read_group("0::/a/b\n", self.sys)
        wanted = Group(quota=1.5, throttled=3, memory_limit=1000, memory_hits=7, tasks=4, tasks_refused=6)
        self.assertEqual(wanted, group)

    def test_version_1(self) -> None:
        """Controllers have hierarchies of their own, some of them together."""
        self.put("cpu,cpuacct/x/cpu.cfs_quota_us", "50000\n")
        self.put("cpu,cpuacct/x/cpu.cfs_period_us", "100000\n")
        self.put("cpu,cpuacct/x/cpu.stat", "nr_periods 9\nnr_throttled 8\n")
        self.put("memory/memory.limit_in_bytes", "9223372036854771712\n")
        self.put("memory/memory.failcnt", "11\n")
        group = read_group("4:cpu,cpuacct:/x\n3:memory:/\n1:name=systemd:/\n", self.sys)
        self.assertEqual(Group(quota=0.5, throttled=8, memory_hits=11), group)

    def test_container(self) -> None:
        """In a container the path is the host's: the group is what is mounted."""
        self.put("cpu.max", "20000 10000\n")
        for path in ("/kubepods/pod1/c2", "/../../elsewhere"):
            self.assertEqual(2.0, read_group(f"0::{path}\n", self.sys).quota)

    def test_unreadable(self) -> None:
        """What is no number is no limit."""
        for text in ("whatever\n", "many 100000\n", "100000 often\n"):
            self.put("cpu.max", text)
            self.assertIs(None, read_group("0::/\n", self.sys).quota)
