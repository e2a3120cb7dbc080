"""TOML files: values, types, and the exact error lines."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.settings.build import build_settings
from statsd_tcp.settings.config_file import read_config
from statsd_tcp.settings.options import OPTIONS
from statsd_tcp.settings.settings import SettingsError


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
        """Give the error line for a file with that text, without the file's name."""
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

    def test_unknown_option(self) -> None:
        """An unknown name is refused, with those that there are."""
        known = ", ".join(option.name for option in OPTIONS)
        self.assertEqual(f"unknown option 'worker'; there are {known}", self.error("worker = 1"))

    def test_no_toml(self) -> None:
        """What isn't TOML is refused, with the place."""
        self.assertIn("not valid TOML: ", self.error("workers = = 1"))
        self.assertIn("line 2", self.error("workers = 1\nworkers\n"))
        self.path.write_bytes(b"\xff\xfe")
        self.assertIn("not valid TOML", str(self.assertRaises(SettingsError, read_config, self.path)))

    def test_wrong_types(self) -> None:
        """A value of the wrong kind is refused, with what would be right."""
        for text, message in (
            ("workers = true", "workers: True is not a string or a number"),
            ("workers = [1]", "workers: [1] is not a string or a number"),
            ("workers = {a = 1}", "workers: a table is not a string or a number"),
            ('listen = [["tcp:1"]]', "listen: ['tcp:1'] is not a list of strings"),
            ("listen = [true]", "listen: True is not a list of strings"),
            ('pin = "yes"', "pin: 'yes' is not true or false"),
            ("pin = 1", "pin: 1 is not true or false"),
        ):
            self.assertEqual(message, self.error(text))

    def test_can_t_be_read(self) -> None:
        """A file that isn't there, or is a folder, is refused with the option's name."""
        self.assertEqual(
            f"--config: {self.path} can't be read: No such file or directory",
            str(self.assertRaises(SettingsError, read_config, self.path)),
        )
        self.path.mkdir()
        self.assertIn("can't be read: Is a directory", str(self.assertRaises(SettingsError, read_config, self.path)))

    def test_deep_or_long_files(self) -> None:
        """A file that is nested too deeply, wherever, or has a number of too many digits is refused in one line."""
        cases = {
            f"listen = {'[' * 5000}": "nested too deeply",
            f"listen{'.a' * 5000} = 1": "a table is not a list of strings",
            f"workers = {'1' * 5000}": "has too many digits",
        }
        with TemporaryDirectory() as folder:
            for content, said in cases.items():
                path = Path(folder) / "c.toml"
                path.write_text(content)
                text = str(self.assertRaises(SettingsError, read_config, path))
                self.assertTrue(text.startswith(f"{path}: "), text)
                self.assertIn(said, text)
