"""How many workers are started, and why."""

from __future__ import annotations

import os

from statsd_tcp.kernel.cpu_count import DEFAULT_MOST_WORKERS, Sizing, size_workers
from tests.unit.doctor.trees import TreeTestCase


class SizingTests(TreeTestCase):
    """The number of workers."""

    def setUp(self) -> None:
        """Take a machine with more processors than any quota here."""
        super().setUp()
        self.patch(os, "sched_getaffinity", lambda _: set(range(6)))

    def member_of(self, membership: str) -> None:
        """Put this process into a control group: ``/proc/self/cgroup``."""
        self.write(self.proc / "self/cgroup", membership)

    def group(self, path: str, text: str) -> None:
        """Set a limit of a group of version 2."""
        self.write(self.sys / "fs/cgroup" / path / "cpu.max", text)

    def sized(self) -> Sizing:
        """Return the number and its reason."""
        return size_workers(None, self.proc, self.sys)

    def assert_sized(self, processors: int, quota: float | None, workers: int, reason: str) -> None:
        """Check the number and its reason on a machine with this many processors."""
        self.patch(os, "sched_getaffinity", lambda _: set(range(processors)))
        self.group(".", f"{int(quota * 100000)} 100000" if quota else "max 100000")
        self.member_of("0::/\n")
        self.assertEqual((workers, reason), self.sized())

    def test_no_control_group(self) -> None:
        """Without control groups, or with no limit in them, the processors count."""
        self.assertEqual((6, "6 processors"), self.sized())
        self.member_of("0::/a\n")
        self.group("a", "max 100000\n")
        self.assertEqual((6, "6 processors"), self.sized())

    def test_nested_group_of_version_2(self) -> None:
        """Of a group and all its parents the tightest quota counts."""
        self.member_of("1:name=systemd:/x\n0::/a/b/c\n")
        self.group("a/b/c", "400000 100000\n")
        self.group("a/b", "max 100000\n")
        self.group("a", "200000 100000\n")
        self.assertEqual((2, "the control group's quota of 2 processors"), self.sized())

    def test_nested_aboveof_version_1(self) -> None:
        """The older version's quota counts in a slice below the root too, with a version 2 that limits nothing."""
        above = self.sys / "fs/cgroup/cpu,cpuacct/system.slice"
        for folder, quota in ((above, "-1\n"), (above / "statscounter.service", "50000\n")):
            self.write(folder / "cpu.cfs_quota_us", quota)
            self.write(folder / "cpu.cfs_period_us", "100000\n")
        self.member_of("4:cpu,cpuacct:/system.slice/statscounter.service\n0::/system.slice/statscounter.service\n")
        self.assertEqual((1, "the control group's quota of 0.5 processors"), self.sized())

    def test_as_asked(self) -> None:
        """Who asks for a number gets it."""
        self.assertEqual((99, "as asked for"), size_workers(99, self.proc, self.sys))

    def test_processors(self) -> None:
        """Otherwise there is one for each processor that we may use."""
        self.assert_sized(1, None, 1, "1 processor")
        self.assert_sized(6, None, 6, "6 processors")

    def test_quota(self) -> None:
        """A quota that is smaller counts, rounded down, but never to none."""
        self.assert_sized(6, 2.5, 2, "the control group's quota of 2.5 processors")
        self.assert_sized(6, 0.5, 1, "the control group's quota of 0.5 processors")
        self.assert_sized(2, 4, 2, "2 processors")

    def test_the_most(self) -> None:
        """A large machine gets no more than a reasonable number."""
        most = f"at most {DEFAULT_MOST_WORKERS} unless asked for"
        self.assert_sized(64, None, DEFAULT_MOST_WORKERS, f"64 processors, {most}")
        self.assert_sized(64, 20, DEFAULT_MOST_WORKERS, f"the control group's quota of 20 processors, {most}")
