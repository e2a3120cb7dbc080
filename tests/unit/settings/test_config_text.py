"""The options in force as a file."""

from __future__ import annotations

import tomllib
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.settings.build import build_settings
from statsd_tcp.settings.config_file import read_config
from statsd_tcp.settings.config_text import config_text
from statsd_tcp.settings.options import OPTIONS
from statsd_tcp.settings.scalars import YES
from statsd_tcp.settings.settings import Settings

VALUES: dict[str, list[str]] = {
    "listen": ["tcp:1", "udp:2:dialect=dogstatsd", r"unix:/tmp/a\:b", 'unix:/tmp/"ü"', "tcp:3:name={hostname}"],
    "count": ["tcp:4", "tcp:5:name=x"],
    "workers": ["1", "16"],
    "http": ["", "tcp:9102"],
    "remote-write": ["http://h/w", "https://h:1/w?x=y:every=1:labels=node=,z=a:ca=/c", r"http://h/w:name=a\:b"],
    "http-host": ["a", ".b.example", "*"],
    "http-connections": ["7"],
    "admin": ["", "tcp:6"],
    "who": ["yes", "all", "no"],
    "who-mask": ["24,48", "0, 128"],
    "who-names": [""],
    "who-to": ["10.0.0.0/8", "::1"],
    "state-dir": ["/x", "a b", "7", "-0", "1.50", "0.00001", "1" * 30, "tab\tand\x7f\\"],
    "idle-timeout": ["1", "2.5", "1e3", "60.0", "007"],
    "first-byte-timeout": ["0", ".5"],
    "max-age": ["0", "900"],
    "source-rate": ["0", "10", "0.5:7"],
    "source-open": ["0", "7"],
    "source-limit-mode": ["observe", "close", "reset"],
    "source-exempt": ["0.0.0.0/0", "::/0"],
    "max-connections": ["100000000"],
    "drain-timeout": ["0.123456789"],
    "flush-interval": ["60"],
    "percentiles": ["90", "90, 99.9,-10", "none", "", "9e1"],
    "timer-fields": ["count", "count,mean", ""],
    "histogram": ["a=1,2.5,inf", "="],
    "delete-idle": ["all", "gauges,sets", ""],
    "gauges-ttl": ["2"],
    "series-ttl": ["86400"],
    "max-series": ["5"],
    "max-series-bytes": ["600"],
    "node": ["a", "{short_hostname}"],
    "graphite": ["tcp:h:1", "tcp:h:2:namespace=new:prefix={{a}}.{short_hostname}"],
    "console": ["human", ""],
    "repeat": ["udp:h:1", r"tcp:\:\:1:2"],
    "output": ["a", "b"],
    "output-queue": ["7"],
    "mapping": [""],
    "counter-suffix": ["_total", ""],
    "conflict-silence": ["60", "1.5"],
    "target-rate": ["1"],
    "steer": ["cpu", ""],
    "log-format": ["json", "text"],
}
"""Values of each option that has them."""


def chosen(name: str) -> st.SearchStrategy[list[str]]:
    """Return some of an option's values, or the empty one."""
    option = next(one for one in OPTIONS if one.name == name)
    if option.flag:
        return st.lists(st.sampled_from([YES, ""]), min_size=1, max_size=2)
    values = st.sampled_from(VALUES[name])
    if option.repeatable:
        return st.lists(values, min_size=1, unique=True) | st.just([""])
    return st.lists(values, min_size=1, max_size=2)


GIVEN = st.fixed_dictionaries(
    {"count": chosen("count").filter(any)},
    optional={option.name: chosen(option.name) for option in OPTIONS if option.name != "count"},
)


class ConfigTextTests(SynchronousTestCase):
    """What is written."""

    def setUp(self) -> None:
        """Choose a file."""
        folder = TemporaryDirectory(prefix="statscounter-")
        self.addCleanup(folder.cleanup)
        self.path = Path(folder.name) / "x.toml"

    def again(self, settings: Settings) -> Settings:
        """Write a file, and read it."""
        self.path.write_text(config_text(settings), encoding="utf-8")
        return build_settings({}, read_config(self.path), "x.toml")

    def same(self, settings: Settings) -> None:
        """Check that a file gives the same settings, whatever they are written as."""
        again = self.again(settings)
        for option in OPTIONS:
            self.assertEqual(getattr(settings, option.field), getattr(again, option.field), option.name)
        self.assertEqual(config_text(settings), config_text(again))

    @given(GIVEN)
    def test_round_trip(self, given: dict[str, list[str]]) -> None:
        """The file gives the settings that it was written from, whatever was given, and is written the same again."""
        self.same(build_settings(given))

    def test_defaults(self) -> None:
        """Defaults are written with the others, and what is chosen at the start is a comment that says so."""
        lines = config_text(build_settings({})).splitlines()
        for line in (
            'listen = ["tcp:8125", "udp:8125"]',
            "# workers: the number of processors that the service may use, at most 8",
            "graphite = []",
            "percentiles = 90",
            "# console: none",
            "pin = false",
        ):
            self.assertIn(line, lines)
        self.assertEqual(len(OPTIONS), len(lines))
        self.same(build_settings({}))

    def test_sources(self) -> None:
        """What was given on the command line and in a file is written as it is in force."""
        text = config_text(build_settings({"percentiles": ["1", "95,99"]}, {"percentiles": ["2"], "pin": [YES]}, "x"))
        self.assertIn("\npercentiles = [95, 99]\n", text)
        self.assertIn("\npin = true\n", text)

    def test_secrets(self) -> None:
        """The arguments of another package's output are left out: one may be a password."""
        text = config_text(build_settings({"output": ["influx:token=secret", "plain"]}))
        self.assertIn('\n# output: "influx", "plain"; arguments are not shown, they may be secret\n', text)
        self.assertNotIn('secret"', text)
        self.assertNotIn("token", text)
        self.assertNotIn("output", tomllib.loads(text))

    def test_what_is_no_text(self) -> None:
        """A path that is not UTF-8 does not spoil the rest."""
        text = config_text(build_settings({"state-dir": ["/x\udcff"]}))
        self.assertEqual("/x?", tomllib.loads(text)["state-dir"])

    def test_values_of_all(self) -> None:
        """Every option is among those that are tried."""
        self.assertEqual({option.name for option in OPTIONS if not option.flag}, set(VALUES))
