"""Settings from the command line and from TOML files: values, defaults, precedence, and the exact error lines."""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.settings.endpoints import Endpoint
from statsd_tcp.settings.repeat import Target
from statsd_tcp.settings.table import OPTIONS, SettingsError, build_settings, read_config

DEFAULTS = {
    "listen": (Endpoint("tcp", 8125), Endpoint("udp", 8125)),
    "count": (Endpoint("tcp", 8888, count_only=True),),
    "http": Endpoint("tcp", 9102, "127.0.0.1"),
    "admin": Endpoint("tcp", 8126, "127.0.0.1"),
    "repeat": (),
    "workers": None,
    "state_dir": None,
    "idle_timeout": 600.0,
    "first_byte_timeout": 60.0,
    "max_connections": None,
    "drain_timeout": 5.0,
    "pin": False,
    "steer": "",
}

GOOD = (
    ("listen", ["tcp:1"], (Endpoint("tcp", 1),)),
    ("listen", ["tcp:1", "udp:2"], (Endpoint("tcp", 1), Endpoint("udp", 2))),
    ("listen", [""], ()),
    ("listen", ["", "tcp:1"], (Endpoint("tcp", 1),)),
    ("count", [""], ()),
    ("count", ["tcp:1:name=x"], (Endpoint("tcp", 1, name="x", count_only=True),)),
    ("http", [""], None),
    ("http", ["tcp:1", ""], None),
    ("http", ["", "tcp:1"], Endpoint("tcp", 1)),
    ("admin", [""], None),
    ("admin", ["tcp:1"], Endpoint("tcp", 1)),
    ("repeat", ["udp:a:1", "tcp:b:2"], (Target("udp", "a", 1), Target("tcp", "b", 2))),
    ("workers", ["1"], 1),
    ("workers", ["256"], 256),
    ("workers", ["2", "3"], 3),
    ("state-dir", ["/var/lib/x"], Path("/var/lib/x")),
    ("idle-timeout", ["1"], 1.0),
    ("first-byte-timeout", ["0"], 0.0),
    ("first-byte-timeout", ["2.5"], 2.5),
    ("idle-timeout", ["2.5"], 2.5),
    ("idle-timeout", ["1e3"], 1000.0),
    ("idle-timeout", ["2592000"], 2592000.0),
    ("max-connections", ["1"], 1),
    ("max-connections", ["100000000"], 100_000_000),
    ("drain-timeout", ["0"], 0.0),
    ("drain-timeout", ["3600"], 3600.0),
    ("pin", ["yes"], True),
    ("pin", ["yes", ""], False),
    ("steer", ["cpu"], "cpu"),
    ("steer", [""], ""),
)

BAD = (
    ("workers", "0", "--workers: '0' is not a whole number from 1 to 256"),
    ("workers", "257", "--workers: '257' is not a whole number from 1 to 256"),
    ("workers", "two", "--workers: 'two' is not a whole number from 1 to 256"),
    ("workers", "-1", "--workers: '-1' is not a whole number from 1 to 256"),
    ("workers", "2.0", "--workers: '2.0' is not a whole number from 1 to 256"),
    ("workers", "²", "--workers: '²' is not a whole number from 1 to 256"),
    ("workers", "", "--workers: a value is missing"),
    ("max-connections", "0", "--max-connections: '0' is not a whole number from 1 to 100000000"),
    ("first-byte-timeout", "-1", "--first-byte-timeout: '-1' is not a number of seconds from 0 to 2.592e+06"),
    ("idle-timeout", "0", "--idle-timeout: '0' is not a number of seconds from 1 to 2.592e+06"),
    ("idle-timeout", "nan", "--idle-timeout: 'nan' is not a number of seconds from 1 to 2.592e+06"),
    ("idle-timeout", "inf", "--idle-timeout: 'inf' is not a number of seconds from 1 to 2.592e+06"),
    ("idle-timeout", "1h", "--idle-timeout: '1h' is not a number of seconds from 1 to 2.592e+06"),
    ("idle-timeout", "", "--idle-timeout: a value is missing"),
    ("drain-timeout", "-1", "--drain-timeout: '-1' is not a number of seconds from 0 to 3600"),
    ("drain-timeout", "3601", "--drain-timeout: '3601' is not a number of seconds from 0 to 3600"),
    ("state-dir", "", "--state-dir: a value is missing"),
    ("pin", "1", "--pin: '1' is not yes"),
    ("steer", "node", "--steer: 'node' is not cpu"),
    ("listen", "tcp", "--listen tcp: the port is missing; write tcp:PORT"),
    ("listen", "tcp:x", "--listen tcp:x: 'x' is not a port (0 to 65535)"),
    ("count", "udp:1", "--count udp:1: 'udp' is not one of tcp; write tcp:PORT"),
    ("http", "tcp:1:name=x", "--http tcp:1:name=x: 'name=x' is not one of interface="),
)


class SettingsTests(SynchronousTestCase):
    """What was given, and what follows."""

    def error(self, given: dict[str, list[str]], *config: Any) -> str:
        """Give the error line for settings that can't be used."""
        text = str(self.assertRaises(SettingsError, build_settings, given, *config))
        self.assertNotIn("\n", text)
        return text

    def test_defaults(self) -> None:
        """Without anything the defaults hold."""
        settings = build_settings({})
        self.assertEqual(DEFAULTS, {name: getattr(settings, name) for name in DEFAULTS})
        self.assertLessEqual(set(DEFAULTS), {option.field for option in OPTIONS})

    def test_good_values(self) -> None:
        """A value that is given replaces its default, and only that."""
        for name, texts, value in GOOD:
            settings = build_settings({name: texts})
            field = name.replace("-", "_")
            self.assertEqual(DEFAULTS | {field: value}, {one: getattr(settings, one) for one in DEFAULTS}, texts)

    def test_bad_values(self) -> None:
        """A value that can't be used is refused with a line that names the option and says what would be right."""
        for name, text, message in BAD:
            self.assertEqual(message, self.error({name: [text]}))

    def test_bad_values_in_a_file(self) -> None:
        """In a file the same values are refused, with the file's name in the place of the dashes."""
        for name, text, message in BAD:
            self.assertEqual(message.replace("--", "x.toml: ", 1), self.error({}, {name: [text]}, "x.toml"))

    def test_one_bad_of_several(self) -> None:
        """Of several values the bad one is named."""
        self.assertIn("--listen udp:x: ", self.error({"listen": ["tcp:1", "udp:x", "tcp:2"]}))

    def test_the_command_line_wins(self) -> None:
        """Option by option, what the command line says goes before what the file says."""
        settings = build_settings(
            {"workers": ["2"], "count": [""]}, {"workers": ["3"], "count": ["tcp:1"], "idle-timeout": ["7"]}, "x.toml"
        )
        self.assertEqual((2, (), 7.0), (settings.workers, settings.count, settings.idle_timeout))

    def test_home(self) -> None:
        """A folder may be given from the home directory, or from where we are; it is absolute in the end."""
        self.patch(os, "environ", {**os.environ, "HOME": "/home/x"})
        self.assertEqual(Path("/home/x/state"), build_settings({"state-dir": ["~/state"]}).state_dir)
        self.assertEqual(Path.cwd() / "state", build_settings({"state-dir": ["state"]}).state_dir)

    def test_nothing_to_do(self) -> None:
        """A service without any listener is refused."""
        text = self.error({"listen": [""], "count": [""]})
        self.assertEqual("--listen and --count are both empty: there is nothing to do", text)

    def test_the_same_label_twice(self) -> None:
        """Two listeners that the metrics could not tell apart are refused."""
        remedy = "is given twice; name=LABEL tells two listeners apart"
        self.assertEqual(f"--listen/--count: tcp:1 {remedy}", self.error({"listen": ["tcp:1"], "count": ["tcp:1"]}))
        self.assertEqual(f"--listen/--count: x {remedy}", self.error({"listen": ["tcp:1:name=x", "tcp:0:name=x"]}))

    def test_labels_that_only_look_the_same(self) -> None:
        """Ports that the kernel chooses differ, and so do schemes and interfaces."""
        build_settings({"listen": ["tcp:0", "tcp:0", "udp:0", "tcp:1", "udp:1", "tcp:1:interface=127.0.0.1"]})

    def test_number_of_listeners(self) -> None:
        """A thousand listeners are taken, and one more is refused with the number that --help names."""
        given = {"listen": [f"tcp:{port}" for port in range(10_000, 10_999)], "count": ["tcp:9999"]}
        self.assertEqual(999, len(build_settings(given).listen))
        text = str(self.assertRaises(SettingsError, build_settings, {**given, "count": ["tcp:9998", "tcp:9999"]}))
        self.assertEqual("--listen/--count: 1001 listeners; there may be at most 1000", text)
        self.assertIn("at most 1000", next(option.help for option in OPTIONS if option.name == "listen"))

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
