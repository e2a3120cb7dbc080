"""What a receiver is told and shown, from files."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.remote_write.assembly import make_receivers
from statsd_tcp.remote_write.credentials import CredentialsError, read_credentials
from statsd_tcp.settings.remote_write import parse_remote_write
from statsd_tcp.settings.settings import SettingsError
from tests.certificates import Authority
from tests.unit.folders import make_folder


class CredentialsTests(SynchronousTestCase):
    """`read_credentials`."""

    def setUp(self) -> None:
        """Have a folder for the files."""
        self.folder = make_folder(self)

    def file(self, content: bytes | str, name: str = "file") -> Path:
        """Write a file."""
        path = self.folder / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def headers(self, keys: str) -> list[tuple[str, str]]:
        """Read the headers of a target with some keys."""
        return read_credentials(parse_remote_write(f"http://h/w:{keys}")).headers

    def fault(self, keys: str, url: str = "http://h/w") -> str:
        """Return what is wrong with a target."""
        error = self.assertRaises(CredentialsError, read_credentials, parse_remote_write(f"{url}:{keys}"))
        self.assertNotIn("\n", str(error))
        return str(error)

    def test_none(self) -> None:
        """Without keys nothing is told."""
        self.assertEqual(self.headers("every=1"), [])

    def test_basic(self) -> None:
        """A name and a password become basic authentication; a line end is not part of them."""
        path = self.file("user:pass word:\n")
        self.assertEqual(self.headers(f"basic={path}"), [("Authorization", "Basic dXNlcjpwYXNzIHdvcmQ6")])
        for wrong in ("user", "", "a:b\nc:d"):
            self.assertIn("not one line NAME:PASSWORD", self.fault(f"basic={self.file(wrong)}"))

    def test_bearer(self) -> None:
        """A token stands behind Bearer."""
        self.assertEqual(self.headers(f"bearer={self.file('abc.def==')}"), [("Authorization", "Bearer abc.def==")])
        for wrong in ("", "a b", "ü", "a\nb"):
            self.assertIn("not one line with a token", self.fault(f"bearer={self.file(wrong)}"))

    def test_headers(self) -> None:
        """Each line is a header; comments and empty lines are none."""
        path = self.file("# ours\n\nX-Scope-OrgID: a\nX-B:  c d \n")
        self.assertEqual(self.headers(f"headers={path}"), [("X-Scope-OrgID", "a"), ("X-B", "c d")])
        path = self.file("A: b\nc")
        self.assertIn("line 2 is not of the form", self.fault(f"headers={path}"))
        self.assertIn("is set by the service", self.fault(f"headers={self.file('content-type: x')}"))
        both = f"basic={self.file('a:b', 'basic')}:headers={self.file('Authorization: x')}"
        self.assertIn("given twice", self.fault(both))

    def test_unreadable(self) -> None:
        """A file that cannot be read is named, with its key and the reason."""
        self.assertIn(f"bearer={self.folder}/none: No such file", self.fault(f"bearer={self.folder}/none"))
        self.assertIn("not UTF-8", self.fault(f"bearer={self.file(bytes([0xFF]))}"))
        self.assertIn("more than 64 KiB", self.fault(f"headers={self.file('#' * 70_000)}"))

    def test_tls(self) -> None:
        """Certificates and keys are tried at once; with http there is nothing to verify."""
        authority = Authority(self.folder)
        pair = authority.issue("client")
        target = parse_remote_write(f"https://h/w:ca={authority.path}:cert={pair}:key={pair}")
        self.assertIsNotNone(read_credentials(target).policy)
        self.assertIsNone(read_credentials(parse_remote_write("http://h/w")).policy)
        for keys in (f"ca={self.file('x')}", f"cert={self.file('x')}:key={pair}", f"cert={pair}:key={self.file('x')}"):
            self.assertIn("cannot be used", self.fault(keys, "https://h/w"))

    def test_foreign_key(self) -> None:
        """A key of another certificate is found at the start."""
        authority = Authority(self.folder)
        key = self.file(authority.issue("other").read_bytes().partition(b"-----BEGIN CERT")[0], "key")
        self.assertIn("cannot be used", self.fault(f"cert={authority.issue('client')}:key={key}", "https://h/w"))

    def test_all_faults(self) -> None:
        """The start names every output that is at fault."""
        targets = [parse_remote_write(f"http://{host}/:bearer=/nowhere") for host in "ab"]
        error = self.assertRaises(SettingsError, make_receivers, Clock(), targets)
        self.assertEqual(
            error.faults,
            tuple(f"--remote-write http://{host}/: bearer=/nowhere: No such file or directory" for host in "ab"),
        )
