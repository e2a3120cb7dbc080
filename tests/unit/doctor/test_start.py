"""How a service was started, and the remedies that fit it."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.commands.doctor.service import no_service
from statsd_tcp.doctor.judgement import limit
from statsd_tcp.doctor.start import Start, read_start
from tests.unit.folders import make_folder

SLICE = "0::/user.slice/user-0.slice/session-3.scope"


class StartTests(SynchronousTestCase):
    """Units, containers and shells, told by /proc."""

    def started(self, group: str, parents: tuple[int, ...], first: str = "systemd") -> Start:
        """Return how process 100 of these ancestors was started."""
        proc = make_folder(self)
        for pid, parent in zip((100, *parents), parents, strict=False):
            (proc / str(pid)).mkdir(exist_ok=True)
            (proc / str(pid) / "stat").write_text(f"{pid} (a (b) c) S {parent} 0 0\n")
        (proc / "1").mkdir(exist_ok=True)
        (proc / "1/comm").write_text(f"{first}\n")
        (proc / "100/cgroup").write_text(f"{group}\n")
        return read_start(proc, "100")

    def test_ways(self) -> None:
        """A unit is one whose process is systemd's child, or a child of that; the rest is told by the group's name."""
        unit = "0::/system.slice/my.service"
        for expected, group, parents in (
            (Start("unit", "my.service"), unit, (1,)),
            (Start("unit", "my.service"), unit, (50, 1)),
            (Start("unit", "my.service"), "5:cpu:/x\n1:name=systemd:/system.slice/my.service", (1,)),
            (Start("shell"), "0::/system.slice/ssh.service", (50, 40, 1)),
            (Start("shell"), SLICE, (50, 40)),
            (Start("container"), "0::/system.slice/docker-0123.scope", (50, 40)),
            (Start("container"), "0::/kubepods.slice/pod1/x", (1,)),
        ):
            self.assertEqual(expected, self.started(group, parents), group)

    def test_inside_a_container(self) -> None:
        """In a container the group has no name; on a machine whose process 1 is a host's it is none."""
        self.assertEqual(Start("container"), self.started("0::/", (1,), "twistd"))
        self.assertEqual(Start("shell"), self.started("0::/", (1,), "systemd"))
        self.assertEqual("container", read_start(Path("/nowhere"), "1").way)


class RemedyTests(SynchronousTestCase):
    """Where a limit is set."""

    def test_each_way(self) -> None:
        """Each way of starting has its own, and only our own unit gets it from the doctor itself."""
        remedies = {
            Start(): ("unit", "systemctl edit statscounter.service: [Service] LimitNOFILE=5"),
            Start("unit", "my.service"): ("command", "systemctl edit my.service: [Service] LimitNOFILE=5"),
            Start("container"): ("container", "start the container with --ulimit nofile=5:5"),
            Start("shell"): ("command", "ulimit -n 5, in the shell that starts the service"),
        }
        for start, (kind, do) in remedies.items():
            remedy = limit(start, "LimitNOFILE", 5, 1)
            self.assertEqual(kind, remedy.kind)
            self.assertTrue(remedy.do.startswith(do), remedy.do)


class UnitLimitTests(SynchronousTestCase):
    """The limits of a unit that was not named."""

    def test_the_unit_s(self) -> None:
        """Where our unit is installed its limit counts, and not the one of this shell."""
        shown = "LoadState=loaded\nLimitNOFILE=524288\nLimitNOFILESoft=1024\n"
        service = no_service(lambda _: shown)
        self.assertEqual((1024, 524288), service.open_files)
        self.assertIn("the limit of open files of statscounter.service", service.title)
        self.assertEqual((1024, 524288), service.facts().limits["Max open files"])
        endless = no_service(lambda _: shown.replace("524288", "infinity"))
        self.assertEqual((1024, None), endless.open_files)

    def test_no_unit(self) -> None:
        """Without the unit, or without systemd, it is this shell's."""

        def missing(_: object) -> str:
            raise OSError("systemctl is not installed here")

        for run in (missing, lambda _: "LoadState=not-found\nLimitNOFILE=524288\n"):
            service = no_service(run)
            self.assertIsNone(service.open_files)
            self.assertIn("of this shell", service.title)
