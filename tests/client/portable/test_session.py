"""The protocol of a connection, byte by byte."""

from __future__ import annotations

import unittest

from statsd_tcp_client.session import Event, Fault, Greeted, Level, Read, Refused, Session, Stored

ID = "0123456789abcdef0123456789abcdef"

CASES: tuple[tuple[Level, bytes, list[Event]], ...] = (
    ("sent", b"ok\nanything\n", []),
    ("read", b"ok\n", [Read()]),
    ("read", b"no\n", [Fault("no")]),
    ("stored", b"!node 4f1f7a0c-aa\n", [Greeted("4f1f7a0c-aa")]),
    ("stored", b"!stored 17 2 0\n!stored 18 1 3\n", [Stored(17, 2, 0), Stored(18, 1, 3)]),
    ("stored", b"!refused 17 crc\n", [Refused(17, "crc")]),
    ("stored", b"!stored 17\n!stored 18 1 0\n", [Fault("!stored 17")]),
    ("stored", b"!stored 17 2 0\r\n", [Fault("!stored 17 2 0\r")]),
    ("stored", b"HTTP/1.1 400 Bad Request\r\n", [Fault("HTTP/1.1 400 Bad Request\r")]),
    ("stored", b"x" * 201, [Fault("x" * 200)]),
    ("stored", b"!stored 1 1", []),
)


class SessionTests(unittest.TestCase):
    """Tests for `Session`."""

    def test_begin(self) -> None:
        """Only with `stored` something goes first."""
        self.assertEqual(Session("sent", ID).begin(), b"")
        self.assertEqual(Session("read", ID).begin(), b"")
        self.assertEqual(Session("stored", ID).begin(), b"!hello 1 " + ID.encode() + b"\n")

    def test_frames(self) -> None:
        """A batch has its number, its lines and their checksum behind it: the vectors of the protocol's page."""
        session = Session("stored", ID)
        self.assertEqual(session.frame(1, b"a:1|c\n", 1), b"a:1|c\n!batch 1 1 228202f1\n")
        self.assertEqual(session.frame(17, b"a:1|c\nb:2|c\n", 2), b"a:1|c\nb:2|c\n!batch 17 2 6e34aa53\n")
        mixed = b"pages:1|c\nload:320|ms\n\nnonsense\n"
        self.assertEqual(session.frame(3, mixed, 4), mixed + b"!batch 3 4 30a48fb1\n")
        self.assertEqual(Session("sent", ID).frame(1, b"a:1|c\n", 1), b"a:1|c\n")

    def test_answers(self) -> None:
        """Answers become events, in whatever pieces they come; after a wrong one nothing more is read."""
        for level, data, expected in CASES:
            with self.subTest(level, data=data):
                self.assertEqual(Session(level, ID).receive(data), expected)
                session = Session(level, ID)
                pieces = [session.receive(data[at : at + 1]) for at in range(len(data))]
                self.assertEqual([event for events in pieces for event in events], expected)


if __name__ == "__main__":
    unittest.main()
