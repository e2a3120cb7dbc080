"""How many workers are started, and why."""

from __future__ import annotations

import os

from statsd_tcp.kernel.processors import MOST_WORKERS, processor_quota, size_workers
from tests.unit.doctor.trees import TreeTestCase


class QuotaTests(TreeTestCase):
    """The control group's quota."""

    def group(self, path: str, text: str) -> None:
        """Give a group of version 2 a limit."""
        self.write(self.sys / "fs/cgroup" / path / "cpu.max", text)

    def member_of(self, path: str) -> None:
        """Put this process into a group of version 2."""
        self.write(self.proc / "self/cgroup", f"1:name=systemd:/x\n0::{path}\n")

    def quota(self) -> float | None:
        """Read the quota."""
        return processor_quota(self.proc, self.sys)

    def test_none(self) -> None:
        """Without control groups, and without a limit, there is no quota."""
        self.assertIs(None, self.quota())
        self.member_of("/a")
        self.group("a", "max 100000\n")
        self.assertIs(None, self.quota())

    def test_own_group(self) -> None:
        """A quota is processors: time in each period."""
        self.member_of("/a/b")
        self.group("a/b", "150000 100000\n")
        self.assertEqual(1.5, self.quota())

    def test_the_tightest(self) -> None:
        """A parent's limit holds for all below it."""
        self.member_of("/a/b")
        self.group("a/b", "400000 100000\n")
        self.group("a", "200000 100000\n")
        self.group(".", "max 100000\n")
        self.assertEqual(2.0, self.quota())

    def test_container(self) -> None:
        """In a container the path is the host's; the container's own group is at the root."""
        self.member_of("/docker/0123")
        self.group(".", "50000 100000\n")
        self.assertEqual(0.5, self.quota())

    def test_version_1(self) -> None:
        """The older files are read too; -1 there is no limit."""
        folder = self.sys / "fs/cgroup/cpu"
        self.write(folder / "cpu.cfs_period_us", "100000\n")
        self.write(folder / "cpu.cfs_quota_us", "-1\n")
        self.assertIs(None, self.quota())
        self.write(folder / "cpu.cfs_quota_us", "300000\n")
        self.assertEqual(3.0, self.quota())

    def test_unreadable(self) -> None:
        """What can't be understood is no limit."""
        self.member_of("/a")
        self.group("a", "whatever\n")
        self.assertIs(None, self.quota())


class SizingTests(TreeTestCase):
    """The number of workers."""

    def assert_sized(self, processors: int, quota: float | None, workers: int, reason: str) -> None:
        """Check the number and its reason on a machine with so many processors."""
        self.patch(os, "sched_getaffinity", lambda _: set(range(processors)))
        text = f"{int(quota * 100000)} 100000" if quota else "max 100000"
        self.write(self.sys / "fs/cgroup/cpu.max", text)
        self.write(self.proc / "self/cgroup", "0::/\n")
        self.assertEqual((workers, reason), tuple(size_workers(None, self.proc, self.sys)))

    def test_as_asked(self) -> None:
        """Who asks for a number gets it."""
        self.assertEqual((99, "as asked for"), tuple(size_workers(99, self.proc, self.sys)))

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
        most = f"at most {MOST_WORKERS} unless asked for"
        self.assert_sized(64, None, MOST_WORKERS, f"64 processors, {most}")
        self.assert_sized(64, 20, MOST_WORKERS, f"the control group's quota of 20 processors, {most}")
