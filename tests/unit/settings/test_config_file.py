"""TOML files: values, types, and the exact error lines."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.settings.build import build_settings
from statsd_tcp.settings.config_file import read_config, scan_config
from statsd_tcp.settings.options import OPTIONS
from statsd_tcp.settings.settings import SettingsError

LISTS = "a string or a number, or a list of them, as"


class ConfigTests(SynchronousTestCase):
    """TOML files."""

    def setUp(self) -> None:
        """Make a folder."""
        folder = TemporaryDirectory(prefix="statscounter-")
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "x.toml"

    def read(self, text: str) -> dict[str, list[str]]:
        """Read a file with that text."""
        self.path.write_text(text, encoding="utf-8")
        return read_config(self.path)

    def error(self, text: str) -> str:
        """Return the error line for a file with that text, without the file's name."""
        message = str(self.assertRaises(SettingsError, self.read, text))
        self.assertNotIn("\n", message)
        self.assertTrue(message.startswith(f"{self.path}: "), message)
        return message.removeprefix(f"{self.path}: ")

    def test_values(self) -> None:
        """Strings, numbers and lists become the texts that the command line would have given."""
        found = self.read('listen = ["tcp:1", "udp:2"]\ncount = "tcp:3"\nhttp = ""\nworkers = 4\nidle-timeout = 1.5\n')
        self.assertEqual(
            {"listen": ["tcp:1", "udp:2"], "count": ["tcp:3"], "http": [""], "workers": ["4"], "idle-timeout": ["1.5"]},
            found,
        )

    def test_flags(self) -> None:
        """A flag is true or false, and the command line can take it back."""
        found = [build_settings({}, self.read(f"pin = {text}"), "x").pin for text in ("true", "false")]
        self.assertEqual([True, False], found)
        self.assertFalse(build_settings({"pin": [""]}, self.read("pin = true"), "x").pin)

    def test_empty(self) -> None:
        """An empty file, or one of comments, gives nothing."""
        self.assertEqual({}, self.read("# nothing\n"))

    def test_an_empty_list(self) -> None:
        """An empty list switches the option off."""
        self.assertEqual((), build_settings({}, self.read("count = []"), "x").count)

    def test_lists(self) -> None:
        """What has its values between commas takes a list as well, and what takes a list takes a single value."""
        for text, field, value in (
            ("percentiles = [90, 99.9, -10]", "percentiles", (90.0, 99.9, -10.0)),
            ("percentiles = 95", "percentiles", (95.0,)),
            ('percentiles = "90, 95"', "percentiles", (90.0, 95.0)),
            ('percentiles = "none"', "percentiles", ()),
            ("percentiles = []", "percentiles", ()),
            ('timer-fields = ["count", "mean"]', "timer_fields", {"count", "mean"}),
            ('delete-idle = ["gauges", "sets"]', "delete_idle", {"g", "s"}),
            ('delete-idle = "all"', "delete_idle", {"c", "g", "ms", "s"}),
            ('http-host = "a"', "http_host", ("a",)),
        ):
            self.assertEqual(value, getattr(build_settings({}, self.read(text), "x"), field), text)

    def test_every_list(self) -> None:
        """The example that an error shows of a list is taken, for each option that takes one."""
        options = [option for option in OPTIONS if option.takes_list]
        self.assertIn("delete-idle", [option.name for option in options])
        for option in options:
            build_settings({}, self.read(f"{option.name} = {option.example}"), "x")
        self.assertEqual([], [option.name for option in OPTIONS if option.example and not option.takes_list])

    def test_singular_and_plural(self) -> None:
        """The name of a list may be in the singular or in the plural, but not in both."""
        self.assertEqual({"percentiles": ["90"], "output": ["a"]}, self.read('percentile = 90\noutputs = ["a"]'))
        self.assertEqual(
            "percentiles: it is there in the singular and in the plural", self.error("percentile=1\npercentiles=1")
        )

    def test_all_faults(self) -> None:
        """What is wrong in a file is told line by line, and what is right in it is read."""
        self.path.write_text("worker = 1\npin = 1\nidle-timeout = 5\n")
        texts, faults = scan_config(self.path)
        self.assertEqual({"idle-timeout": ["5"]}, texts)
        self.assertEqual(
            [f"{self.path}: unknown option 'worker'", f"{self.path}: pin: 1 is not true or false"],
            [fault.partition(";")[0] for fault in faults],
        )
        self.assertEqual(tuple(faults), self.assertRaises(SettingsError, read_config, self.path).faults)

    def test_unknown_option(self) -> None:
        """An unknown name is refused, with the one that was probably meant and those that there are."""
        known = ", ".join(option.name for option in OPTIONS)
        self.assertEqual(f"unknown option 'colour'; there are {known}", self.error("colour = 1"))
        for name, meant in (
            ("worker", "workers"),
            ("flushInterval", "flush-interval"),
            ("idle_timeout", "idle-timeout"),
        ):
            self.assertEqual(
                f"unknown option '{name}'; did you mean {meant}? There are {known}", self.error(f"{name} = 1")
            )

    def test_no_toml(self) -> None:
        """What is not TOML is refused, with the place."""
        self.assertIn("not valid TOML: ", self.error("workers = = 1"))
        self.assertIn("line 2", self.error("workers = 1\nworkers\n"))
        self.path.write_bytes(b"workers = 1 # \xff\xfe")
        told = str(self.assertRaises(SettingsError, read_config, self.path))
        self.assertIn("not valid TOML: byte 15 of the file is not UTF-8", told)

    def test_wrong_types(self) -> None:
        """A value of the wrong kind is refused, with what would be right."""
        for text, message in (
            ("workers = true", "workers: true is not a string or a number"),
            ("workers = [1]", "workers: [1] is not a string or a number; there is one value, and no list"),
            (
                "workers = [2026-01-01]",
                "workers: [the date or time 2026-01-01] is not a string or a number; there is one value, and no list",
            ),
            ("workers = {a = 1}", "workers: a table is not a string or a number"),
            ('listen = [["tcp:1"]]', f'listen: [\'tcp:1\'] is not {LISTS} listen = ["tcp:8125", "udp:8125"]'),
            ("percentile = [true]", f"percentiles: true is not {LISTS} percentiles = [90, 99.9, -10]"),
            ('pin = "yes"', "pin: 'yes' is not true or false"),
            ("pin = 1", "pin: 1 is not true or false"),
        ):
            self.assertEqual(message, self.error(text))

    def test_can_t_be_read(self) -> None:
        """A file that is not there, or is a folder, is refused with the option's name."""
        self.assertEqual(
            f"--config: {self.path} cannot be read: No such file or directory",
            str(self.assertRaises(SettingsError, read_config, self.path)),
        )
        self.path.mkdir()
        self.assertIn("cannot be read: Is a directory", str(self.assertRaises(SettingsError, read_config, self.path)))

    def test_deep_or_long_files(self) -> None:
        """A file that is nested too deeply, wherever, or has a number of too many digits is refused in one line."""
        cases = {
            f"listen = {'[' * 5000}": "nested too deeply",
            f"listen{'.a' * 5000} = 1": "listen: a table is not a string or a number, or a list",
            f"workers = {'1' * 5000}": "has too many digits",
        }
        with TemporaryDirectory() as folder:
            for content, said in cases.items():
                path = Path(folder) / "c.toml"
                path.write_text(content)
                text = str(self.assertRaises(SettingsError, read_config, path))
                self.assertTrue(text.startswith(f"{path}: "), text)
                self.assertIn(said, text)
