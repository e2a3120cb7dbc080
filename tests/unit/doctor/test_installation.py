"""Writing, installing and undoing the remedies."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.doctor.checks.tracking import notrack_rules
from statsd_tcp.doctor.examination import examine
from statsd_tcp.doctor.files import DROP_IN_FILE, SYSCTL_FILE, remedy_files
from statsd_tcp.doctor.goal import Goal
from statsd_tcp.doctor.installation import Effect, Installation, InstallationError
from statsd_tcp.doctor.judgement import Result
from tests.unit.doctor.machines import folder, machine

TARGET = Goal(workers=2)
SOMAXCONN = "proc/sys/net/core/somaxconn"


class MachineTestCase(SynchronousTestCase):
    """A test with the recorded virtual machine, whose files stand for the whole system."""

    def setUp(self) -> None:
        """Lay the machine out."""
        self.root = folder(self)
        machine("vm", self.root)

    def put(self, name: str, text: str) -> None:
        """Write a file."""
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def read(self, name: str) -> str:
        """Read a file."""
        return (self.root / name).read_text()

    def results(self) -> list[Result]:
        """Examine the machine as it is now."""
        return examine(machine("vm", self.root), TARGET)


class FileTests(MachineTestCase):
    """The files that the doctor writes."""

    def test_only_what_differs(self) -> None:
        """A sysctl file has the settings that are too low, with reason and formula, and no other."""
        text = remedy_files(self.results(), TARGET)["60-statscounter.conf"]
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        wanted = [
            "net.core.somaxconn = 10400",
            "net.ipv4.tcp_max_tw_buckets = 660000",
        ]
        self.assertEqual(wanted, lines)
        self.assertIn("# accept.somaxconn: the queue of a worker is full after 0.82 s of stall", text)
        self.assertIn("rate·stall/workers = 10,000·2/2", text)

    def test_drop_in(self) -> None:
        """The limit of open files goes into a drop-in of the unit."""
        text = remedy_files(self.results(), TARGET)["statscounter.service.d/50-doctor.conf"]
        self.assertIn("[Service]\n", text)
        self.assertIn("\nLimitNOFILE=30128\n", text)

    def test_container_flags(self) -> None:
        """Containers get flags for what belongs to them, and only that."""
        flags = remedy_files(self.results(), TARGET)["container-flags.txt"].splitlines()
        self.assertIn("--sysctl net.core.somaxconn=10400", flags)
        self.assertIn("--ulimit nofile=30128:30128", flags)
        self.assertFalse([flag for flag in flags if "rmem_max" in flag])

    def test_lowering_is_left_to_people(self) -> None:
        """What would lower a value stands in the file as a comment only."""
        self.put("proc/sys/net/ipv4/tcp_abort_on_overflow", "1\n")
        text = remedy_files(self.results(), TARGET)["60-statscounter.conf"]
        self.assertIn("# by hand: net.ipv4.tcp_abort_on_overflow = 0\n", text)

    def test_undo(self) -> None:
        """The undo script has the values of today."""
        text = remedy_files(self.results(), TARGET)["undo.sh"]
        self.assertIn("\nsysctl -w net.core.somaxconn=4096\n", text)

    def test_nothing_to_do(self) -> None:
        """A machine that is fine gets no files."""
        root = folder(self)
        self.assertEqual({}, remedy_files(examine(machine("numa", root), Goal(workers=40)), Goal(workers=40)))

    def test_affinity_is_left_to_people(self) -> None:
        """Keeping the service to the card's node is only suggested: it takes processors away."""
        files = remedy_files(examine(machine("numa", folder(self)), Goal(workers=8)), Goal(workers=8))
        self.assertIn("# by hand: CPUAffinity=32-63\n", files["statscounter.service.d/50-doctor.conf"])

    def test_notrack_rules(self) -> None:
        """The rules keep tracking off all ports in both directions, and name only protocols that have ports."""
        rules = notrack_rules((8125, 8888), (8125,))
        for words in (
            "tcp dport { 8125, 8888 } notrack",
            "udp dport { 8125 } notrack",
            "tcp sport { 8125, 8888 } notrack",
        ):
            self.assertIn(words, rules)
        self.assertNotIn("udp", notrack_rules((1,), ()))
        self.assertEqual(rules.count("{"), rules.count("}"))


class InstallationTests(MachineTestCase):
    """Installing and undoing."""

    def setUp(self) -> None:
        """Make an installation whose programs are recorded."""
        super().setUp()
        self.ran: list[Sequence[str]] = []
        self.answers: dict[str, str] = {}
        self.missing: set[str] = set()
        self.installation = Installation(self.root, self.root / "proc", self.run_program)

    def run_program(self, command: Sequence[str]) -> str:
        """Stand for the programs of the system."""
        self.ran.append(command)
        if command[0] in self.missing:
            raise OSError(f"{command[0]} is not installed here")
        return self.answers.get(command[0], "")

    def apply(self) -> dict[str, Effect]:
        """Install; gives the effects by name."""
        return {effect.name: effect for effect in self.installation.apply(self.results(), TARGET)}

    def test_nothing_is_lowered(self) -> None:
        """What an earlier run has set stays in the files when it is no longer needed, or it would be lowered."""
        (self.root / "run/systemd/system").mkdir(parents=True)
        before = {f"etc/sysctl.d/{SYSCTL_FILE}": "net.x = 7", f"etc/systemd/system/{DROP_IN_FILE}": "TasksMax=9"}
        for name, line in before.items():
            place = self.root / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(f"# earlier\n{line}\n")
        self.apply()
        self.assertTrue(self.read(f"etc/sysctl.d/{SYSCTL_FILE}").endswith("\nnet.x = 7\n"))
        self.assertTrue(self.read(f"etc/systemd/system/{DROP_IN_FILE}").endswith("\nTasksMax=9\n"))

    def test_settings_take_effect(self) -> None:
        """Settings are written for now and for the next boot, and read back."""
        effect = self.apply()["net.core.somaxconn"]
        self.assertEqual(("10400", True), (effect.now, effect.good))
        self.assertIn("restart", effect.note)
        self.assertEqual("10400\n", self.read(SOMAXCONN))
        self.assertIn("net.core.somaxconn = 10400", self.read("etc/sysctl.d/60-statscounter.conf"))

    def test_undo_puts_everything_back(self) -> None:
        """After undo all files and settings are as they were before the first of two installations."""
        self.put("etc/sysctl.d/60-statscounter.conf", "# mine\n")
        before = {name: self.read(name) for name in (SOMAXCONN, "proc/sys/net/ipv4/tcp_max_tw_buckets")}
        self.apply()
        self.put(SOMAXCONN, "5000\n")
        self.apply()
        self.assertTrue(all(effect.good for effect in self.installation.undo()))
        self.assertEqual("# mine\n", self.read("etc/sysctl.d/60-statscounter.conf"))
        self.assertEqual(before, {name: self.read(name).split()[0] + "\n" for name in before})
        self.assertRaises(InstallationError, self.installation.undo)

    def test_what_is_as_it_shall_be_is_not_written(self) -> None:
        """A setting that has its old value already is left alone: writing may be refused where reading is not."""
        self.apply()
        self.put(SOMAXCONN, "4096")
        self.assertTrue(all(effect.good for effect in self.installation.undo()))
        self.assertEqual("4096", self.read(SOMAXCONN))

    def test_files_that_were_not_there_go(self) -> None:
        """A file that was not there before is removed again."""
        self.apply()
        self.installation.undo()
        self.assertFalse((self.root / "etc/sysctl.d/60-statscounter.conf").exists())

    def test_shadowed(self) -> None:
        """A file that is read later and sets the same is named: what was written would not last."""
        self.put("usr/lib/sysctl.d/99-vendor.conf", "net/core/somaxconn = 1\n")
        effect = self.apply()["net.core.somaxconn"]
        self.assertFalse(effect.good)
        self.assertIn("99-vendor.conf sets it too", effect.note)

    def test_an_earlier_file_does_not_shadow(self) -> None:
        """A file that is read earlier, or is hidden by one of its name, does not matter."""
        self.put("usr/lib/sysctl.d/10-vendor.conf", "net.core.somaxconn = 1\n")
        self.put("usr/lib/sysctl.d/99-vendor.conf", "net.core.somaxconn = 1\n")
        self.put("etc/sysctl.d/99-vendor.conf", "\n")
        self.assertTrue(self.apply()["net.core.somaxconn"].good)

    def test_refused(self) -> None:
        """A setting that cannot be written is reported with the reason, and the others are still set."""
        results = self.results()
        (self.root / SOMAXCONN).unlink()
        (self.root / SOMAXCONN).mkdir()
        effects = {effect.name: effect for effect in self.installation.apply(results, TARGET)}
        self.assertIn("refused", effects["net.core.somaxconn"].note)
        self.assertTrue(effects["net.ipv4.tcp_max_tw_buckets"].good)

    def test_without_systemd(self) -> None:
        """Where systemd does not run no drop-in is installed, and it is said."""
        effect = self.apply()["LimitNOFILE"]
        self.assertFalse(effect.good)
        self.assertIn("systemd does not run", effect.note)
        self.assertFalse((self.root / "etc/systemd").exists())

    def test_with_systemd(self) -> None:
        """With systemd the drop-in is installed, read, and the unit's value compared."""
        (self.root / "run/systemd/system").mkdir(parents=True)
        self.answers["systemctl"] = "30128\n"
        self.assertTrue(self.apply()["LimitNOFILE"].good)
        self.assertIn("LimitNOFILE=30128", self.read("etc/systemd/system/statscounter.service.d/50-doctor.conf"))
        self.answers["systemctl"] = "1024\n"
        self.assertFalse(self.apply()["LimitNOFILE"].good)
        self.assertIn(["systemctl", "daemon-reload"], self.ran)

    def test_notrack(self) -> None:
        """Tracked connections get the rules, loaded and listed; undo deletes the table."""
        self.put("proc/sys/net/netfilter/nf_conntrack_count", "5000\n")
        self.assertTrue(self.apply()["statscounter_notrack"].good)
        self.assertEqual(["nft", "nft"], [command[0] for command in self.ran])
        self.installation.undo()
        self.assertEqual(["nft", "delete", "table", "inet", "statscounter_notrack"], self.ran[-1])

    def test_notrack_without_nft(self) -> None:
        """Without the program it is said what is missing."""
        self.put("proc/sys/net/netfilter/nf_conntrack_count", "5000\n")
        self.missing.add("nft")
        effect = self.apply()["statscounter_notrack"]
        self.assertEqual((False, "nft is not installed here"), (effect.good, effect.note))

    def test_broken_record(self) -> None:
        """A record that cannot be understood stops everything, before anything is changed."""
        self.put("var/lib/statscounter-doctor/before.json", "{")
        self.assertRaises(InstallationError, self.apply)
        self.assertEqual("4096\n", self.read(SOMAXCONN))
