"""From texts to settings: values, defaults, precedence, and the exact error lines."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.settings.build import build_settings
from statsd_tcp.settings.endpoints import Endpoint
from statsd_tcp.settings.options import OPTIONS
from statsd_tcp.settings.repeat import Target
from statsd_tcp.settings.settings import SettingsError

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
    "max_age": 0.0,
    "source_rate": None,
    "source_open": 0,
    "source_limit_mode": "observe",
    "source_exempt": (),
    "max_connections": None,
    "drain_timeout": 5.0,
    "who": "yes",
    "who_mask": (32, 64),
    "who_names": None,
    "who_to": (),
    "pin": False,
    "steer": "",
    "log_format": "text",
}

NO_RATE = "is not N[:BURST], with N from 0.001 to 1,000,000 connections per second"
NO_BURST = "is not N[:BURST], with a BURST from 1 to 1,000,000 connections"
NO_MASK = "is not two numbers of bits, of IPv4 to 32 and of IPv6 to 128, such as 24,48"

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
    ("who", ["no"], ""),
    ("who", ["all"], "all"),
    ("who-mask", ["24, 48"], (24, 48)),
    ("who-mask", ["0,128"], (0, 128)),
    ("who-names", [""], None),
    ("who-to", ["10.0.0.0/8", "::1"], ("10.0.0.0/8", "::1/128")),
    ("workers", ["1"], 1),
    ("workers", ["256"], 256),
    ("workers", ["2", "3"], 3),
    ("state-dir", ["/var/lib/x"], Path("/var/lib/x")),
    ("idle-timeout", ["1"], 1.0),
    ("first-byte-timeout", ["0"], 0.0),
    ("first-byte-timeout", ["2.5"], 2.5),
    ("max-age", ["0"], 0.0),
    ("max-age", ["1.5"], 1.5),
    ("idle-timeout", ["2.5"], 2.5),
    ("idle-timeout", ["1e3"], 1000.0),
    ("idle-timeout", ["2592000"], 2592000.0),
    ("source-rate", ["0"], None),
    ("source-rate", ["0.5"], (0.5, 1)),
    ("source-rate", ["100"], (100.0, 100)),
    ("source-rate", ["1e3:5000"], (1000.0, 5000)),
    ("source-open", ["10"], 10),
    ("source-limit-mode", ["reset"], "reset"),
    ("source-exempt", ["10.0.0.0/8", "fd00::/64"], ("10.0.0.0/8", "fd00::/64")),
    ("max-connections", ["1"], 1),
    ("max-connections", ["100000000"], 100_000_000),
    ("drain-timeout", ["0"], 0.0),
    ("drain-timeout", ["3600"], 3600.0),
    ("pin", ["yes"], True),
    ("pin", ["yes", ""], False),
    ("steer", ["cpu"], "cpu"),
    ("steer", [""], ""),
    ("log-format", ["json"], "json"),
)

BAD = (
    ("source-rate", "-1", f"--source-rate: '-1' {NO_RATE}"),
    ("source-rate", "nan", f"--source-rate: 'nan' {NO_RATE}"),
    ("source-rate", "1e9", f"--source-rate: '1e9' {NO_RATE}"),
    ("source-rate", "10:0", f"--source-rate: '10:0' {NO_BURST}"),
    ("source-rate", "10:", f"--source-rate: '10:' {NO_BURST}"),
    ("source-open", "-1", "--source-open: '-1' is not a whole number from 0 to 1000000"),
    ("source-limit-mode", "drop", "--source-limit-mode: 'drop' is not one of observe, close, reset"),
    ("source-exempt", "10.0.0.1/8", "--source-exempt: '10.0.0.1/8' is not a network, such as 10.0.0.0/8"),
    ("who", "maybe", "--who: 'maybe' is not yes, all or no"),
    ("who-mask", "24", f"--who-mask: '24' {NO_MASK}"),
    ("who-mask", "33,64", f"--who-mask: '33,64' {NO_MASK}"),
    ("who-mask", "32,-1", f"--who-mask: '32,-1' {NO_MASK}"),
    ("who-names", "/nonexistent/names", "--who-names: /nonexistent/names cannot be read: No such file or directory"),
    ("who-to", "10.0.0.1/8", "--who-to: '10.0.0.1/8' is not a network, such as 10.0.0.0/8"),
    ("workers", "0", "--workers: '0' is not a whole number from 1 to 256"),
    ("workers", "257", "--workers: '257' is not a whole number from 1 to 256"),
    ("workers", "two", "--workers: 'two' is not a whole number from 1 to 256"),
    ("workers", "-1", "--workers: '-1' is not a whole number from 1 to 256"),
    ("workers", "2.0", "--workers: '2.0' is not a whole number from 1 to 256"),
    ("workers", "²", "--workers: '²' is not a whole number from 1 to 256"),
    ("workers", "", "--workers: a value is missing"),
    ("max-connections", "0", "--max-connections: '0' is not a whole number from 1 to 100000000"),
    ("first-byte-timeout", "-1", "--first-byte-timeout: '-1' is not a number of seconds from 0 to 2592000"),
    ("max-age", "0.5", "--max-age: '0.5' is not a number of seconds from 1 to 2592000, or 0"),
    ("idle-timeout", "0", "--idle-timeout: '0' is not a number of seconds from 1 to 2592000"),
    ("idle-timeout", "nan", "--idle-timeout: 'nan' is not a number of seconds from 1 to 2592000"),
    ("idle-timeout", "inf", "--idle-timeout: 'inf' is not a number of seconds from 1 to 2592000"),
    ("idle-timeout", "1h", "--idle-timeout: '1h' is not a number of seconds from 1 to 2592000"),
    ("idle-timeout", "", "--idle-timeout: a value is missing"),
    ("drain-timeout", "-1", "--drain-timeout: '-1' is not a number of seconds from 0 to 3600"),
    ("drain-timeout", "3601", "--drain-timeout: '3601' is not a number of seconds from 0 to 3600"),
    ("state-dir", "", "--state-dir: a value is missing"),
    ("pin", "1", "--pin: '1' is not yes"),
    ("steer", "node", "--steer: 'node' is not cpu"),
    ("log-format", "xml", "--log-format: 'xml' is not one of text, json"),
    ("listen", "tcp", "--listen tcp: the port is missing; write tcp:PORT"),
    ("listen", "tcp:x", "--listen tcp:x: 'x' is not a port (0 to 65535)"),
    ("count", "udp:1", "--count udp:1: 'udp' is not one of tcp; write tcp:PORT"),
    ("http", "tcp:1:name=x", "--http tcp:1:name=x: 'name=x' is not one of interface="),
)


class SettingsTests(SynchronousTestCase):
    """What was given, and what follows."""

    def error(self, given: dict[str, list[str]], *config: Any) -> str:
        """Return the error line for settings that cannot be used."""
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
        """A value that cannot be used is refused with a line that names the option and says what would be right."""
        for name, text, message in BAD:
            self.assertEqual(message, self.error({name: [text]}))

    def test_bad_values_in_a_file(self) -> None:
        """In a file the same values are refused, with the file's name in the place of the dashes."""
        for name, text, message in BAD:
            self.assertEqual(message.replace("--", "x.toml: ", 1), self.error({}, {name: [text]}, "x.toml"))

    def test_one_bad_of_several(self) -> None:
        """Of several values the bad one is named."""
        self.assertIn("--listen udp:x: ", self.error({"listen": ["tcp:1", "udp:x", "tcp:2"]}))

    def test_all_faults(self) -> None:
        """Each value that cannot be used has a line of its own, and then each contradiction."""
        given = {"listen": ["tcp:x", "tcp:1", "udp:y"], "idle-timeout": ["0"]}
        faults = self.assertRaises(SettingsError, build_settings, given, {"workers": ["0"]}, "x.toml").faults
        self.assertEqual(
            ["--listen tcp:x", "--listen udp:y", "x.toml: workers", "--idle-timeout"],
            [fault.rpartition(": '")[0] for fault in faults],
        )
        given = {"listen": ["tcp:1", "tcp:1"], "repeat": ["udp:a:1", "udp:a:1"]}
        self.assertEqual(2, len(self.assertRaises(SettingsError, build_settings, given).faults))

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
        self.assertEqual("--listen/--count: both are empty: there is nothing to do", text)

    def test_exempt_sources(self) -> None:
        """A network that is smaller than what is kept of an address cannot be without limits, nor can very many."""
        for network, bits in (("10.1.2.0/25", 24), ("fd00::1/128", 64)):
            why = f"{network} is smaller than a source, of whose address {bits} bits are kept (--who-mask)"
            text = self.error({"source-exempt": ["10.0.0.0/8", network], "who-mask": ["24,64"]})
            self.assertEqual(f"--source-exempt: {why}", text)
        many = [f"10.0.{n}.0/24" for n in range(201)]
        self.assertEqual("--source-exempt: 201 networks; there may be at most 200", self.error({"source-exempt": many}))

    def test_the_same_label_twice(self) -> None:
        """Two listeners that the metrics could not tell apart are refused."""
        remedy = "is given twice; name=LABEL tells two listeners apart"
        self.assertEqual(f"--listen/--count: tcp:1 {remedy}", self.error({"listen": ["tcp:1"], "count": ["tcp:1"]}))
        self.assertEqual(f"--listen/--count: x {remedy}", self.error({"listen": ["tcp:1:name=x", "tcp:0:name=x"]}))

    def test_a_port_with_two_uses(self) -> None:
        """A listener on the port of the console or of the pages, and these on one port, are refused with the remedy."""
        for name, given in (
            ("admin", {"listen": ["tcp:8126"]}),
            ("admin", {"count": ["tcp:7"], "admin": ["tcp:7:interface=127.0.0.1"]}),
            ("http", {"listen": ["tcp:7:interface=127.0.0.1"], "http": ["tcp:7"]}),
            ("admin", {"http": ["tcp:7"], "admin": ["tcp:7"]}),
        ):
            text = self.error(given)
            self.assertRegex(text, rf"^--{name}: port \d+ is given twice: --{name} tcp:PORT moves it")
        build_settings({"listen": ["udp:8126", "tcp:7:interface=127.0.0.2"], "http": ["tcp:7:interface=127.0.0.1"]})
        build_settings({"listen": ["tcp:0"], "http": ["tcp:0"], "admin": ["tcp:0"]})

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
