"""The machine's name in options."""

from __future__ import annotations

import socket

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.settings.build import build_settings
from statsd_tcp.settings.host_name import expand, has_node, node_name
from statsd_tcp.settings.settings import SettingsError

CASES = {
    "": "",
    "acme": "acme",
    "{hostname}": "db1.example.com",
    "a.{short_hostname}.b": "a.db1.b",
    "{short_hostname}{hostname}": "db1db1.example.com",
    "{{hostname}}": "{hostname}",
    "{{{hostname}}}": "{db1.example.com}",
}

WRONG = {
    "{host}": "{host}",
    "a{}": "{}",
    "{hostname": "{",
    "a}b": "}",
    "{{{host}}}": "{host}",
    "{Hostname}": "{Hostname}",
}
"""Texts, and what is wrong in them."""


def name() -> str:
    """Return the name of a machine."""
    return "db1.example.com"


class ExpandTests(SynchronousTestCase):
    """What stands for what."""

    def test_good(self) -> None:
        """The name is put in whole or without its domain, and braces written twice are braces."""
        self.assertEqual(CASES, {text: expand(text, name) for text in CASES})
        self.assertEqual("db1", expand("{short_hostname}", lambda: "db1"))

    def test_wrong(self) -> None:
        """Anything else in braces, or a brace alone, is refused with what there is."""
        remedy = "is not {hostname} or {short_hostname}; a brace itself is written twice, {{ or }}"
        for text, part in WRONG.items():
            self.assertEqual(f"{part} {remedy}", str(self.assertRaises(ValueError, expand, text, name)))

    def test_node(self) -> None:
        """Where there is a node its name is put in too."""
        self.assertEqual("a-{node}", expand("{node}-{{node}}", name, node="a"))
        self.assertEqual([True, False], list(map(has_node, ["x{node}", "{{node}}{hostname}"])))
        self.assertIn("is not {node}, {hostname} or", str(self.assertRaises(ValueError, expand, "{x}", name, node="a")))

    def test_node_name(self) -> None:
        """A node's name has no blanks, and may be the machine's."""
        self.assertEqual(["a", socket.gethostname()], list(map(node_name, ["a", "{hostname}"])))
        for text in ("a b", "a\n", "x" * 256, "{node}"):
            self.assertRaises(ValueError, node_name, text)

    @given(st.text("{}ab"))
    def test_escaped(self, text: str) -> None:
        """Every text can be written."""
        self.assertEqual(text, expand(text.replace("{", "{{").replace("}", "}}"), name))


class OptionsTests(SynchronousTestCase):
    """Where the name may stand."""

    def test_graphite(self) -> None:
        """All parts of Graphite's names take it."""
        keys = ("prefix", "counters", "timers", "gauges", "sets", "suffix", "stats")
        option = "tcp:h:1:namespace=new:" + ":".join(f"{key}={key}.{{short_hostname}}" for key in keys)
        rules = build_settings({"graphite": [option]}).graphite[0].names
        short = socket.gethostname().partition(".")[0]
        self.assertEqual([f"{key}.{short}" for key in keys], [getattr(rules, key) for key in keys])

    def test_node(self) -> None:
        """Outputs get the name of the node wherever they say so, and it is known whether one does."""
        given = {
            "node": ["a"],
            "graphite": ["tcp:h:1:node=yes", "tcp:h:2:suffix=.{node}."],
            "remote-write": ["http://h/:labels=at={node}{{"],
        }
        settings = build_settings(given)
        self.assertEqual([("a", ""), ("", "a")], [(one.names.node, one.names.suffix) for one in settings.graphite])
        self.assertEqual([{"node": "a", "at": "a{"}], [one.labels for one in settings.remote_write])
        for option, names in (("graphite", True), ("remote-write", True), ("node", False)):
            self.assertEqual(not names, build_settings({option: given[option]}).may_rename, option)
        self.assertTrue(build_settings({**given, "rename-node": ["yes"]}).may_rename)
        self.assertTrue(build_settings({"remote-write": ["http://h/:labels=node=a"]}).may_rename)

    def test_labels(self) -> None:
        """The name of a listener takes it."""
        settings = build_settings({"listen": ["tcp:1:name={hostname}"], "count": ["tcp:2:name=bare-{hostname}"]})
        names = (socket.gethostname(), f"bare-{socket.gethostname()}")
        self.assertEqual(names, tuple(one.name for one in settings.listen + settings.count))

    def test_refused(self) -> None:
        """A word that there is not is refused with the option and its key."""
        for option, value, place in (
            ("listen", "tcp:1:name={host}", "--listen tcp:1:name={host}: name={host}: {host} is not {hostname}"),
            ("graphite", "tcp:h:1:suffix={host}", "--graphite: suffix={host}: {host} is not {node}, {hostname}"),
            ("node", "{host}", "--node: {host} is not {hostname}"),
        ):
            text = str(self.assertRaises(SettingsError, build_settings, {option: [value]}))
            self.assertTrue(text.startswith(place), text)
