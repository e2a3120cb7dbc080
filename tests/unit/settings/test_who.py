"""Masks and names of sources."""

from __future__ import annotations

from ipaddress import ip_network

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.settings.who import read_names
from tests.unit.folders import make_folder

GOOD = """\
# where our clients are
10.0.0.0/8       everything   # of ours
10.1.0.0/16      racks
10.1.2.3         build machine
2001:db8::/32    office
"""

NAMED = (
    ("10.9.9.9/32", "everything"),
    ("10.1.9.9/32", "racks"),
    ("10.1.2.3/32", "build machine"),
    ("10.1.2.0/24", "racks"),
    ("10.1.0.0/15", "everything"),
    ("11.0.0.0/8", ""),
    ("2001:db8:1:2::/64", "office"),
    ("2001:db8::/32", "office"),
    ("2001::/16", ""),
    ("0.0.0.0/0", ""),
)

BAD = (
    ("10.0.0.0/8 a\n\n10.0.0.1/8 b\n", "line 3: '10.0.0.1/8' is not a network, such as 10.0.0.0/8"),
    ("host b\n", "line 1: 'host' is not a network, such as 10.0.0.0/8"),
    ("10.0.0.0/8\n", "line 1: 10.0.0.0/8 has no name after it"),
    ("10.0.0.0/8 # a\n", "line 1: 10.0.0.0/8 has no name after it"),
    ("10.0.0.0/8 a\n10.0.0.0/8 b\n", "line 2: 10.0.0.0/8 is there twice"),
    (f"10.0.0.0/8 {'a' * 65}\n", "line 1: the name of 10.0.0.0/8 is not at most 64 characters that can be printed"),
    ("10.0.0.0/8 a\x1b[2J\n", "line 1: the name of 10.0.0.0/8 is not at most 64 characters that can be printed"),
)


class NamesTests(SynchronousTestCase):
    """Files for ``--who-names``."""

    def test_longest_prefix(self) -> None:
        """A source has the name of the smallest network that holds all of it, and none where there is no such."""
        path = make_folder(self) / "names"
        path.write_text(GOOD)
        names = read_names(str(path))
        self.assertEqual((4, str(path)), (len(names), names.source))
        for source, name in NAMED:
            with self.subTest(source):
                self.assertEqual(name, names.of(ip_network(source, strict=False)))

    def test_bad_lines(self) -> None:
        """A line that is wrong is refused with the file, the line and the reason."""
        path = make_folder(self) / "names"
        for text, why in BAD:
            with self.subTest(why):
                path.write_text(text)
                with self.assertRaises(ValueError) as caught:
                    read_names(str(path))
                self.assertEqual(f"{path} {why}", str(caught.exception))

    def test_unreadable_files(self) -> None:
        """A file that is not there, or is no text, is refused with the reason."""
        with self.assertRaisesRegex(ValueError, "/nonexistent/names cannot be read: No such file"):
            read_names("/nonexistent/names")
        path = make_folder(self) / "names"
        path.write_bytes(b"10.0.0.0/8 \xff\n")
        with self.assertRaisesRegex(ValueError, "is not UTF-8"):
            read_names(str(path))

    def test_devices(self) -> None:
        """A file without an end is refused when it is larger than all names that there may be."""
        with self.assertRaisesRegex(ValueError, "^/dev/zero is larger than 32 MiB$"):
            read_names("/dev/zero")
