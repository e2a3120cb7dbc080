"""The value of ``--remote-write``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.settings.build import build_settings
from statsd_tcp.settings.remote_write import TlsClient, parse_remote_write
from statsd_tcp.settings.settings import SettingsError


class RemoteWriteTests(SynchronousTestCase):
    """`parse_remote_write`."""

    def test_defaults(self) -> None:
        """A URL alone is enough: a slot has ten seconds, and the node is this machine."""
        target = parse_remote_write("http://h:9090/api/v1/write")
        self.assertEqual((target.url, target.every), ("http://h:9090/api/v1/write", 10))
        self.assertEqual(target.of_node("a").labels, {"node": "a"})
        self.assertEqual(target.label, "remote-write:h:9090/api/v1/write")
        self.assertEqual(list(target.files()), [])

    def test_all(self) -> None:
        """Keys follow the URL; a colon in a value needs a backslash only where it looks like a key."""
        target = parse_remote_write(
            r"https://[::1]:1/w?tenant=7:every=30:labels=node=a,zone=b\:c=d,at=1:2:name=it:bearer=/t:headers=/h"
            ":ca=/ca:cert=/c:key=/k"
        )
        self.assertEqual(
            (target.url, target.every, target.label), ("https://[::1]:1/w?tenant=7", 30, "remote-write:it")
        )
        self.assertEqual(target.labels, {"node": "a", "zone": "b:c=d", "at": "1:2"})
        self.assertEqual(target.tls, TlsClient("/ca", "/c", "/k"))
        self.assertEqual(
            dict(target.files()), {"bearer": "/t", "headers": "/h", "ca": "/ca", "cert": "/c", "key": "/k"}
        )

    def test_no_node(self) -> None:
        """An empty label is left out."""
        self.assertEqual(parse_remote_write("http://h/:labels=node=").of_node("a").labels, {})

    def test_faults(self) -> None:
        """What is wrong is said in one line that names it."""
        for text, said in {
            "": "is not of the form",
            "h:9090": "is not of the form",
            "ftp://h/": "is not of the form",
            "http:///w": "is not of the form",
            "http://h:x/": "is not a URL",
            "http://h:99999/": "is not a URL",
            "http://[h/": "is not a URL",
            "http://h/a b": "is not of the form",
            "http://h/ü": "is not of the form",
            "http://u:p@h/": "name or a password",
            "http://h/#x": "fragment",
            "http://h/:evry=1": "'evry=1' is not one of",
            "http://h/:every=0": "every=0 is not",
            "http://h/:every=241": "every=241 is not",
            "http://h/:every=1.5": "every=1.5 is not",
            "http://h/:every=1:every=2": "every= is given twice",
            "http://h/:labels=a": "labels=a is not",
            "http://h/:labels=__name__=a": "labels=__name__=a is not",
            "http://h/:labels=1a=b": "labels=1a=b is not",
            "http://h/:labels=a={b}": "labels=a={b}",
            "http://h/:labels=a=b,a=c": "a is given twice",
            "http://h/:labels=le=1": "le is the label of the buckets",
            "http://h/:ca=/c": "https URLs only",
            "https://h/:cert=/c": "belong together",
            "http://h/:basic=/a:bearer=/b": "both given",
        }.items():
            error = self.assertRaises(ValueError, parse_remote_write, text)
            self.assertIn(said, str(error))
            self.assertNotIn("\n", str(error))

    def test_twice(self) -> None:
        """Two outputs of the same name are told apart by name=."""
        once = "http://h/w"
        error = self.assertRaises(SettingsError, build_settings, {"remote-write": [once, once]})
        self.assertIn("remote-write:h/w is given twice", str(error))
        settings = build_settings({"remote-write": [once, f"{once}:name=b"]})
        self.assertEqual(len(settings.remote_write), 2)
