"""The machine's names, from the files that have them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.kernel.host_names import own_names
from tests.unit.folders import make_folder

HOSTS = """
127.0.0.1 localhost
127.0.1.1 Web1.example.net web1   # Debian writes it so
10.0.0.7\tother.example.net other
"""


class OwnNamesTests(SynchronousTestCase):
    """A machine with such files."""

    def setUp(self) -> None:
        """Make the folder."""
        self.etc = make_folder(self)

    def test_hosts(self) -> None:
        """What the file of hosts calls the machine besides is its name; what it calls others is not."""
        (self.etc / "hosts").write_text(HOSTS)
        self.assertEqual(own_names(self.etc, "WEB1"), {"web1", "web1.example.net"})

    def test_domains(self) -> None:
        """The machine is in the domains that the resolver searches."""
        (self.etc / "resolv.conf").write_text("nameserver 10.0.0.1\nsearch corp.example. lab.example\n")
        self.assertEqual(own_names(self.etc, "web1"), {"web1", "web1.corp.example", "web1.lab.example"})

    def test_full_name(self) -> None:
        """A kernel that knows the whole name is called by its first part as well, and files may be missing."""
        self.assertEqual(own_names(self.etc, "web1.example.net"), {"web1", "web1.example.net"})

    def test_kernel(self) -> None:
        """Without more, the kernel says it."""
        self.assertTrue(own_names(self.etc))
