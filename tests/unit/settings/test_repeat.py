"""Values of ``--repeat``."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from statsd_tcp.settings.repeat import Target, parse_repeat

GOOD = {
    "udp:localhost:8125": (Target("udp", "localhost", 8125), "repeat:udp:localhost:8125"),
    "tcp:10.0.0.1:1": (Target("tcp", "10.0.0.1", 1), "repeat:tcp:10.0.0.1:1"),
    r"udp:\:\:1:65535": (Target("udp", "::1", 65535), "repeat:udp:[::1]:65535"),
}

BAD = {
    "udp:localhost": r"'udp:localhost' is not of the form udp:HOST:PORT or tcp:HOST:PORT; a colon in an address is "
    r"written \:",
    "udp::1:1": r"'udp::1:1' is not of the form udp:HOST:PORT or tcp:HOST:PORT; a colon in an address is written \:",
    "udp::1": r"'udp::1' is not of the form udp:HOST:PORT or tcp:HOST:PORT; a colon in an address is written \:",
    "unix:a:1": "'unix' is not one of udp, tcp; write udp:HOST:PORT or tcp:HOST:PORT",
    "udp:a:0": "'0' is not a port (1 to 65535)",
    "udp:a:x": "'x' is not a port (1 to 65535)",
}


class ParseRepeatTests(SynchronousTestCase):
    """Where lines may be sent on to."""

    def test_good(self) -> None:
        """A server is a protocol, a host and a port, and gets a name from them."""
        for text, (target, label) in GOOD.items():
            self.assertEqual((target, label), (parse_repeat(text), parse_repeat(text).label))

    def test_bad(self) -> None:
        """What cannot be used is refused with what would be right."""
        for text, message in BAD.items():
            self.assertEqual(message, str(self.assertRaises(ValueError, parse_repeat, text)))
